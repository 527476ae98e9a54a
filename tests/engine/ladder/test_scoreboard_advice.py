"""The advice: by what is wanted before anything is measured, afterwards by the verdict and its figures alone."""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from rung.engine.ladder.advice import advise
from rung.engine.ladder.advice_facts import (
    Action,
    Advice,
    DataFacts,
    Evidence,
    LearningGain,
    MachineFacts,
    Reading,
    VerdictFacts,
    verdict_facts,
)
from rung.engine.ladder.spec import Rung
from rung.engine.project.schema import Want
from rung.engine.stats.intervals import Estimate, estimate

PLENTY = DataFacts(train_rows=5_000, test_rows=200, documents=40)
TRAINING: set[Action] = {"tune", "distil", "preference"}
CONTRADICT: list[set[Action]] = [
    *({"stop", other} for other in get_args(Action) if other not in ("stop", "more_data")),
    *({"not_tune", other} for other in TRAINING),
    {"target", "margin"},
    {"climb", "model"},
    {"more_examples", "model"},
]  # fmt: skip


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
    assert not TRAINING & set(actions(advise(["hard_task", "format"], PLENTY)))


@pytest.mark.parametrize(("has", "said"), [(True, "a bigger model is named"), (False, "no bigger model is named yet")])
def test_cost_means_distilling(has: bool, said: str) -> None:
    assert given(advise(["cost"], DataFacts(train_rows=500, has_bigger_model=has)), "distil").evidence == said


def test_known_preferences_mean_preference_tuning() -> None:
    advice = advise(["preference"], DataFacts(preference_pairs=320))
    assert given(advice, "preference").evidence == "320 preference pairs"
    assert "not_tune" not in actions(advice)


def test_nothing_measured_means_climbing_in_order() -> None:
    assert "prompt, then RAG, then fine-tuning" in given(advise([], PLENTY), "climb").text


def test_several_wants_are_all_answered() -> None:
    wants: list[Want] = ["facts", "format"]
    assert {"rag", "prompt", "tune"} <= set(actions(advise(wants, PLENTY)))


@pytest.mark.parametrize(("rows", "told"), [(0, "no training rows"), (47, "47 training rows")])
def test_too_few_rows_are_said_with_their_number_and_no_training_beside_it(rows: int, told: str) -> None:
    advice = advise(["format"], DataFacts(train_rows=rows))
    assert given(advice, "not_tune").evidence == told and not TRAINING & set(actions(advice))


def test_a_machine_that_fits_nothing_is_said() -> None:
    advice = advise([], PLENTY, MachineFacts({"lora": False, "full": False}))
    assert "lora, full" in given(advice, "bigger_machine").evidence
    assert "bigger_machine" not in actions(advise([], PLENTY, MachineFacts({"lora": True, "full": False})))


# After measuring.

LOW, HALF, HIGH = score(60, 200), score(100, 200), score(190, 200)
FAILS = Reading(100, 60, 55, None, 100)
BLIND = Reading(60, 0, 0)
ASTRAY = Reading(100, 95, 50, 40, 98)
RISING = LearningGain(400, 800, 0.09, 0.03, 0.15, 100)
NOISE = LearningGain(400, 800, 0.09, -0.01, 0.19, 60)
UNDECIDED = VerdictFacts("undecided", examples_needed=640, examples_range=(310, 1_900), start_from="prompt")
OPEN = VerdictFacts("undecided", start_from="prompt", largest_gain=0.07)
LEFT_OUT = VerdictFacts("undecided", not_measured=("prompt", "rag"))
NO_TUNE = VerdictFacts("undecided", not_measured=("tune",))
NONE = VerdictFacts("none")
ALONE = VerdictFacts("prompt", "aaa", not_measured=("tune",))


def verdict(rung: Rung) -> VerdictFacts:
    return VerdictFacts(rung, "aaa")


CASES: list[tuple[str, list[Want], DataFacts, Evidence, float | None, list[str], str]] = [
    ("prompt, target", ["format"], PLENTY, Evidence(prompt=HIGH, tune=HIGH, verdict=verdict("prompt")), 0.8,
     ["stop"], "0.950 [0.910, 0.973] on 200 held-out examples, target 0.8"),
    ("prompt, no target", ["facts"], PLENTY, Evidence(HIGH, HIGH, HIGH, verdict("prompt")), None, ["stop"], "0.950"),
    ("prompt alone", [], PLENTY, Evidence(prompt=HALF, verdict=ALONE), None, ["climb"], "0.500"),
    ("undecided, a board of an earlier version", [], PLENTY, Evidence(HALF, HALF, None, VerdictFacts("undecided")), 0.5,
     ["climb"], "retrieval 0.500"),
    ("prompt alone, nothing to climb to", [], DataFacts(), Evidence(prompt=HALF, verdict=verdict("prompt")), None,
     ["stop"], "0 documents, 0 training rows"),
    ("prompt, a higher rung was left out, target", [], PLENTY,
     Evidence(prompt=HIGH, verdict=replace(verdict("prompt"), not_measured=("rag", "tune"))), 0.8, ["stop"], "0.950"),
    ("prompt, tuning left out, too few rows for it", [], replace(PLENTY, train_rows=40),
     Evidence(HIGH, HIGH, None, replace(verdict("prompt"), not_measured=("tune",))), None, ["stop"], "0.950"),
    ("none, a target in per cent", [], PLENTY, Evidence(HIGH, None, HIGH, NONE, bounds=(0.0, 1.0)), 80.0, ["target"],
     "the metric lies between 0 and 1, the target is 80"),
    ("retrieval, target, missed passages", ["facts"], PLENTY,
     Evidence(LOW, HIGH, None, verdict("rag"), FAILS), 0.8, ["stop"], "target 0.8"),
    ("retrieval, no target", ["facts"], PLENTY, Evidence(LOW, HIGH, HIGH, verdict("rag"), FAILS), None,
     ["stop"], "0.950"),
    ("tune, target", ["format"], PLENTY, Evidence(LOW, LOW, HIGH, verdict("tune"), FAILS, RISING), 0.8,
     ["stop"], "0.950"),
    ("tune, no target, still learning", ["format"], PLENTY, Evidence(LOW, LOW, HALF, verdict("tune"), None, RISING),
     None, ["stop", "more_data"], "0.500"),
    ("tune, no target, a step within its noise", [], PLENTY, Evidence(LOW, LOW, HALF, verdict("tune"), None, NOISE),
     None, ["stop"], "0.500"),
    ("undecided, too few rows", ["format"], PLENTY, Evidence(prompt=HALF, tune=HALF, verdict=UNDECIDED), 0.5,
     ["more_examples"], "the tuned model 0.500 [0.431, 0.569] on 200"),
    ("undecided, no number settles it, target", [], PLENTY, Evidence(HALF, HALF, None, OPEN), 0.5, ["target"],
     "gains at most 0.070"),
    ("undecided, no number settles it, margin", [], PLENTY, Evidence(HALF, HALF, None, OPEN), None, ["margin"],
     "gains at most 0.070"),
    ("undecided, lower rungs were left out", ["facts"], PLENTY, Evidence(tune=HIGH, verdict=LEFT_OUT), 0.8,
     ["climb"], "measured so far: the tuned model 0.950"),
    ("undecided, tuning left out for want of rows", [], replace(PLENTY, train_rows=47),
     Evidence(LOW, HALF, None, NO_TUNE), None, ["more_data"], "47 training rows"),
    ("undecided, retrieval is shown to miss", ["facts"], PLENTY, Evidence(HALF, HALF, None, UNDECIDED, FAILS), None,
     ["more_examples", "fix_retrieval"], "on 200"),
    ("none, retrieval misses what is there", ["facts"], PLENTY, Evidence(LOW, LOW, LOW, NONE, FAILS), 0.8,
     ["fix_retrieval", "model", "target"], "40 of 100 (40%, 95 % interval 31% to 50%)"),
    ("none, a format task that no document answers", ["format"], PLENTY, Evidence(LOW, LOW, LOW, NONE, BLIND), 0.8,
     ["model", "target"], "the best is the prompt with 0.300"),
    ("none, led astray", ["facts"], PLENTY, Evidence(LOW, HALF, LOW, NONE, ASTRAY), 0.8,
     ["rag", "model", "target"], "the right passage alone mends 40 of 45"),
    ("none, still learning", ["format"], PLENTY, Evidence(LOW, None, HALF, NONE, None, RISING), 0.8,
     ["more_data", "model", "target"], "800 rows against 400: better by 0.090 [0.030, 0.150] on 100 validation rows"),
    ("none, few rows", ["format"], replace(PLENTY, train_rows=47), Evidence(LOW, None, HALF, NONE), 0.8,
     ["more_data", "model", "target"], "47 training rows"),
    ("none, all wrong", [], PLENTY, Evidence(score(0, 60), score(0, 60), score(0, 60), NONE), None,
     ["model"], "0.000 [0.000, 0.060] on 60"),
    ("none, a bigger model reaches it", ["cost"], PLENTY, Evidence(LOW, None, HALF, NONE, bigger=HIGH), 0.8,
     ["distil", "model", "target"], "the bigger model scores 0.950"),
    ("none, lower is better", [], replace(PLENTY, more_is_better=False), Evidence(HALF, None, LOW, NONE), 0.1,
     ["model", "target"], "the best is the tuned model with 0.300"),
]  # fmt: skip


@pytest.mark.parametrize(("wants", "data", "evidence", "target", "wanted", "figure"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_after_measuring_the_next_step_follows_from_the_verdict(
    wants: list[Want], data: DataFacts, evidence: Evidence, target: float | None, wanted: list[str], figure: str
) -> None:
    advice = advise(wants, data, evidence=evidence, target=target)
    assert actions(advice) == wanted
    assert figure in advice[0].evidence


def test_what_would_settle_it_is_a_range_and_where_to_start_is_not_told_as_shown() -> None:
    advice = advise([], PLENTY, evidence=Evidence(HALF, HALF, None, UNDECIDED))
    assert "about 640 examples (likely 310 to 1,900) would settle it" in advice[0].text
    assert "start from the prompt, which is not shown to be enough" in advice[0].text


def test_a_target_that_is_reached_is_named_where_every_rung_misses() -> None:
    advice = advise([], PLENTY, evidence=Evidence(LOW, HALF, None, NONE), target=0.8)
    assert "a target of 0.431 is what retrieval is shown to reach" in given(advice, "target").text


def test_the_interval_of_the_best_of_many_is_not_what_a_target_is_set_by() -> None:
    advice = advise([], PLENTY, evidence=Evidence(LOW, HALF, None, NONE, picked=frozenset({"rag"})), target=0.8)
    assert given(advice, "target").text == "Or settle for less: set a lower target."


def test_groups_are_counted_where_the_rows_are_grouped() -> None:
    grouped = VerdictFacts("undecided", examples_needed=30, examples_unit="groups", margin_settled=0.051)
    (advice,) = advise([], PLENTY, evidence=Evidence(HALF, HALF, None, grouped))
    assert "about 30 groups would settle it" in advice.text and "margin of about 0.051" in advice.evidence


def test_ten_questions_of_which_three_are_missed_show_nothing() -> None:
    few, many = Reading(10, 7, 7, None, 10), Reading(100, 70, 70, None, 100)
    assert "fix_retrieval" not in actions(advise(["facts"], PLENTY, evidence=Evidence(LOW, LOW, LOW, NONE, few)))
    assert "fix_retrieval" in actions(advise(["facts"], PLENTY, evidence=Evidence(LOW, LOW, LOW, NONE, many)))


def test_a_verdict_of_an_older_version_is_read_without_what_it_did_not_write() -> None:
    old = verdict_facts({"rung": "undecided", "candidate": None, "reasons": ["x"], "examples_needed": 300})
    assert old == VerdictFacts("undecided", None, ("x",), 300)
    assert actions(advise(["format"], PLENTY, evidence=Evidence(HALF, None, HALF, old))) == ["more_examples"]


RUNG = st.sampled_from(["prompt", "rag", "tune"])
ESTIMATE = st.none() | st.builds(lambda right, of: score(min(right, of), of), st.integers(0, 300), st.integers(1, 300))
GAIN = st.none() | st.builds(
    lambda middle, half: LearningGain(100, 200, middle, middle - half, middle + half, 50),
    st.floats(-0.3, 0.3), st.floats(0, 0.3),
)  # fmt: skip


@st.composite
def readings(draw: st.DrawFn) -> Reading | None:
    questions = draw(st.integers(0, 200))
    held = draw(st.integers(0, questions))
    found = draw(st.integers(0, held))
    right = draw(st.integers(0, found))
    alone = draw(st.none() | st.integers(0, found - right))
    return draw(st.sampled_from([None, Reading(questions, found, right, alone, draw(st.sampled_from([None, held])))]))


VERDICT = st.builds(
    VerdictFacts,
    rung=st.sampled_from(["prompt", "rag", "tune", "none", "undecided"]),
    examples_needed=st.none() | st.integers(1, 9_000),
    examples_range=st.none() | st.just((57, 2_877)) | st.just((57, None)),
    start_from=st.none() | RUNG,
    not_measured=st.lists(RUNG, unique=True).map(tuple),
    largest_gain=st.none() | st.floats(0, 1),
)
WANTS = st.lists(st.sampled_from(["facts", "format", "hard_task", "cost", "preference"]), unique=True)
DATA = st.builds(
    DataFacts, train_rows=st.integers(0, 400), documents=st.integers(0, 3), has_bigger_model=st.booleans(),
    more_is_better=st.booleans(), preference_pairs=st.integers(0, 400),
)  # fmt: skip
MACHINE = st.sampled_from([MachineFacts(), MachineFacts({"LoRA": False}), MachineFacts({"LoRA": True})])


@settings(max_examples=300, deadline=None)
@given_any(wants=WANTS, data=DATA, machine=MACHINE, evidence=st.builds(
    Evidence, ESTIMATE, ESTIMATE, ESTIMATE, st.none() | VERDICT, readings(), GAIN, bigger=ESTIMATE,
), target=st.none() | st.floats(0, 1))  # fmt: skip
def test_advice_is_never_empty_never_contradicts_itself_and_names_a_figure_once_something_is_measured(
    wants: Any, data: DataFacts, machine: MachineFacts, evidence: Evidence, target: float | None
) -> None:
    advice = advise(wants, data, machine, evidence, target)
    assert advice and all(one.text and one.evidence for one in advice)
    pairs = [{a.action, b.action} for a, b in combinations(advice, 2)]
    assert not [pair for pair in pairs if pair in CONTRADICT]
    if evidence.verdict is not None and evidence.verdict.rung in ("none", "undecided", *evidence.rungs):
        if evidence.rungs:
            assert all(re.search(r"\d", one.evidence) for one in advice)
            assert len(pairs) == len([pair for pair in pairs if len(pair) == 2]), "each action once"
            assert "not_tune" not in actions(advice) and not {"fix_retrieval", "rag"} <= set(actions(advice))
