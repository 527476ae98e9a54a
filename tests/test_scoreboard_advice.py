"""The advice: one test for each row of the decision table, and for each shape of evidence."""

from dataclasses import replace

import pytest

from engine.ladder.advice import Action, Advice, DataFacts, Evidence, MachineFacts, Reading, advise
from engine.measure.intervals import Estimate, estimate
from engine.project.schema import Want

PLENTY = DataFacts(train_rows=5_000, test_rows=200, documents=40)


def score(right: int, of: int) -> Estimate:
    return estimate([1.0] * right + [0.0] * (of - right))


def given(advice: list[Advice], action: Action) -> Advice:
    return next(one for one in advice if one.action == action)


def actions(advice: list[Advice]) -> list[str]:
    return [one.action for one in advice]


def test_facts_retrieval_first_tuning_perhaps_after() -> None:
    advice = advise(["facts"], PLENTY)
    assert actions(advice)[:2] == ["rag", "tune"]
    assert given(advice, "rag").text.startswith("RAG first") and given(advice, "rag").evidence == "40 documents"


def test_format_prompt_first_then_tune() -> None:
    advice = advise(["format"], PLENTY)
    assert actions(advice)[:2] == ["prompt", "tune"] and "5,000 training rows" in given(advice, "tune").evidence


def test_a_hard_task_is_probably_not_for_tuning() -> None:
    assert given(advise(["hard_task"], PLENTY), "not_tune").text.startswith("Probably not")


@pytest.mark.parametrize(("has", "said"), [(True, "a bigger model is named"), (False, "no bigger model is named yet")])
def test_cost_means_distilling(has: bool, said: str) -> None:
    assert given(advise(["cost"], DataFacts(train_rows=500, has_bigger_model=has)), "distil").evidence == said


def test_known_preferences_mean_preference_tuning() -> None:
    advice = advise(["preference"], DataFacts(preference_pairs=320))
    assert given(advice, "preference").evidence == "320 preference pairs"
    assert "not_tune" not in actions(advice)


def test_nothing_measured_means_climbing_in_order() -> None:
    assert "prompt, then RAG, then fine-tuning" in given(advise([], PLENTY), "climb").text
    assert "climb" not in actions(advise([], PLENTY, evidence=Evidence(prompt=score(5, 10))))


def test_several_wants_are_all_answered() -> None:
    wants: list[Want] = ["facts", "format"]
    assert {"rag", "prompt", "tune"} <= set(actions(advise(wants, PLENTY)))


def test_a_prompt_that_clears_the_target_means_stop() -> None:
    advice = advise(["format"], PLENTY, evidence=Evidence(prompt=score(190, 200)), target=0.8)
    assert advice[0].action == "stop" and "0.950 [0.910, 0.973] on 200" in advice[0].evidence
    unsure = advise(["format"], PLENTY, evidence=Evidence(prompt=score(17, 20)), target=0.8)
    assert "stop" not in actions(unsure)


def test_the_lowest_rung_that_clears_the_target_means_stop_and_nothing_is_left_to_mend() -> None:
    good, missed = score(190, 200), Reading(60, 0, 0)
    tuned = Evidence(prompt=score(0, 200), rag=score(0, 200), tune=good, reading=missed)
    advice = advise([], PLENTY, evidence=tuned, target=0.8)
    assert actions(advice) == ["stop"] and "the tuned model is" in advice[0].text
    both = advise([], PLENTY, evidence=Evidence(rag=good, tune=good), target=0.8)
    assert [item.text for item in both] == ["Stop here: retrieval is good enough."]
    assert actions(advise([], PLENTY, evidence=tuned, target=0.99)) == ["fix_retrieval"]


def test_where_less_is_better_the_upper_end_of_the_interval_clears_the_target() -> None:
    less = replace(PLENTY, more_is_better=False)
    assert actions(advise([], less, evidence=Evidence(prompt=score(190, 200)), target=0.8)) == []
    assert actions(advise([], less, evidence=Evidence(prompt=score(10, 200)), target=0.8)) == ["stop"]


def test_found_but_wrong_means_tune() -> None:
    advice = advise(["facts"], PLENTY, evidence=Evidence(rag=score(50, 100), reading=Reading(100, 95, 50, 5)))
    assert advice[0].action == "tune"
    assert "found for 95 of 100 questions, and 47% of those were answered wrong" in advice[0].evidence
    assert "mends 11%" in advice[0].evidence


def test_distractors_mean_fewer_passages() -> None:
    advice = advise(["facts"], PLENTY, evidence=Evidence(rag=score(50, 100), reading=Reading(100, 95, 50, 40)))
    assert advice[0].action == "rag" and "distractors" in advice[0].text


def test_missed_passages_mean_mending_retrieval_first() -> None:
    advice = advise(["facts"], PLENTY, evidence=Evidence(rag=score(40, 100), reading=Reading(100, 60, 40, 5)))
    assert advice[0].action == "fix_retrieval"
    assert advice[0].evidence == "the right passage is missing for 40 of 100 questions (40%)"


def test_retrieval_and_reading_that_work_call_for_nothing() -> None:
    advice = advise([], PLENTY, evidence=Evidence(rag=score(95, 100), reading=Reading(100, 98, 94, 1)))
    assert advice == []


@pytest.mark.parametrize(("rows", "told"), [(0, "no training rows"), (47, "47 training rows")])
def test_too_few_rows_are_said_with_their_number(rows: int, told: str) -> None:
    assert given(advise(["format"], DataFacts(train_rows=rows)), "not_tune").evidence == told


def test_a_curve_that_still_rises_means_more_data() -> None:
    rising = DataFacts(train_rows=800, learning_curve=((800, 0.61), (200, 0.4), (400, 0.52)))
    assert given(advise([], rising), "more_data").evidence == "0.520 with 400 rows, 0.610 with 800"
    flat = DataFacts(train_rows=800, learning_curve=((400, 0.60), (800, 0.61)))
    assert "more_data" not in actions(advise([], flat))


def test_a_machine_that_fits_nothing_is_said() -> None:
    advice = advise([], PLENTY, MachineFacts({"lora": False, "full": False}))
    assert "lora, full" in given(advice, "bigger_machine").evidence
    assert "bigger_machine" not in actions(advise([], PLENTY, MachineFacts({"lora": True, "full": False})))
