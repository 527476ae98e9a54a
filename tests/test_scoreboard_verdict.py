"""The verdict by every shape of evidence: a pure function of scores, whose reasons name their figures."""

import pytest

from engine.ladder.pairs import Measured, compare_candidates
from engine.ladder.spec import Rung
from engine.ladder.verdict import Question, decide
from engine.measure.metrics.parse import parse_metric
from engine.measure.metrics.scoring import ExampleScore
from engine.measure.metrics.spec import MetricSpec
from engine.measure.metrics.summary import aggregate

EXACT = parse_metric("exact_match")


def measured(
    rung: Rung, values: list[float], metric: MetricSpec = EXACT, name: str | None = None, label: str = "one way"
) -> Measured:
    scores = tuple(ExampleScore(str(number), metric.key, value) for number, value in enumerate(values))
    return Measured(name or f"c-{rung}", rung, label, aggregate(metric, scores), scores)


def right(count: int, of: int, wrong_first: bool = False) -> list[float]:
    """`count` right answers; by default those at the start."""
    values = [1.0] * count + [0.0] * (of - count)
    return values[::-1] if wrong_first else values


def test_with_a_target_the_lowest_rung_that_clears_it() -> None:
    found = decide(
        [measured("prompt", right(40, 200)), measured("rag", right(190, 200)), measured("tune", right(198, 200))],
        Question(EXACT, target=0.8),
    )
    assert (found.rung, found.candidate) == ("rag", "c-rag")
    assert "prompting (one way) scores 0.200 [0.150, 0.261]: short of the target 0.8" in found.reasons
    assert any("retrieval (one way) scores 0.950 [0.910, 0.973] in exact_match on 200" in why for why in found.reasons)


def test_the_prompt_alone_may_be_enough() -> None:
    found = decide(
        [measured("prompt", right(195, 200)), measured("tune", right(200, 200))], Question(EXACT, target=0.9)
    )
    assert found.rung == "prompt"


def test_a_score_above_the_target_is_not_enough_its_interval_must_be() -> None:
    found = decide([measured("prompt", right(17, 20)), measured("tune", right(200, 200))], Question(EXACT, target=0.8))
    assert found.rung == "tune"
    assert any("leaves open whether it reaches the target 0.8; about" in why for why in found.reasons)


def test_an_impossible_target_gives_none() -> None:
    found = decide(
        [measured("prompt", right(40, 200)), measured("tune", right(180, 200))], Question(EXACT, target=0.99)
    )
    assert (found.rung, found.candidate) == ("none", None)
    assert found.reasons[0].startswith("no rung is shown to reach the target 0.99: the best is fine-tuning (one way)")


def test_without_a_target_the_best_where_the_others_are_shown_worse() -> None:
    found = decide(
        [measured("prompt", right(20, 150)), measured("rag", right(140, 150)), measured("tune", right(30, 150))],
        Question(EXACT),
    )
    assert (found.rung, found.candidate) == ("rag", "c-rag")
    assert any("shown worse (p < 0.001, corrected for 3 comparisons)" in why for why in found.reasons)
    assert any("retrieval (one way) has the best score" in why for why in found.reasons)


def test_a_rung_within_the_margin_of_the_best_is_enough() -> None:
    same = right(900, 1000)
    found = decide([measured("prompt", right(100, 1000)), measured("rag", same), measured("tune", [*same[:-1], 1.0])],
                   Question(EXACT))  # fmt: skip
    assert found.rung == "rag"
    assert any("at most 0.02 worse, so there is no need to climb on" in why for why in found.reasons)


def test_little_difference_on_few_examples_is_undecided_with_a_number() -> None:
    found = decide(
        [measured("prompt", right(20, 40)), measured("tune", right(24, 40, wrong_first=True))], Question(EXACT)
    )
    assert (found.rung, found.candidate) == ("undecided", None)
    assert found.examples_needed is not None and found.examples_needed > 40
    assert f"about {found.examples_needed:,} held-out examples would settle it" in found.reasons[-1]


def test_a_lower_rung_that_is_open_keeps_the_verdict_open() -> None:
    found = decide(
        [measured("prompt", right(30, 40)), measured("rag", right(34, 40)), measured("tune", right(35, 40))],
        Question(EXACT),
    )
    assert found.rung == "undecided" and "prompting" in found.reasons[-1]


def test_the_number_of_examples_takes_the_correction_into_account() -> None:
    prompt, tune = measured("prompt", right(130, 200)), measured("tune", right(140, 200, wrong_first=True))
    alone = decide([prompt, tune], Question(EXACT))
    among_three = decide([prompt, measured("rag", right(131, 200)), tune], Question(EXACT))
    assert alone.rung == among_three.rung == "undecided"
    assert alone.examples_needed is not None and among_three.examples_needed is not None
    assert 200 < alone.examples_needed < among_three.examples_needed


def test_one_rung_alone_is_said_to_be_alone() -> None:
    found = decide([measured("prompt", right(5, 10))], Question(EXACT), {"rag": "the project has no documents"})
    assert found.rung == "prompt"
    assert "no other rung was measured" in found.reasons[0]
    assert "retrieval was not measured: the project has no documents" in found.reasons


def test_nothing_measured_is_undecided() -> None:
    assert decide([], Question(EXACT)).rung == "undecided"


@pytest.mark.parametrize("target", [None, 0.5])
def test_nothing_right_anywhere_is_none(target: float | None) -> None:
    found = decide([measured("prompt", right(0, 50)), measured("tune", right(0, 50))], Question(EXACT, target=target))
    assert found.rung == "none"
    if target is None:
        assert "not one of 50 held-out examples is answered right on any rung" in found.reasons[0]


def test_of_several_candidates_on_a_rung_the_best_speaks() -> None:
    found = decide(
        [measured("prompt", right(2, 100), name="bad"), measured("prompt", right(95, 100), name="good"),
         measured("tune", right(10, 100))], Question(EXACT),
    )  # fmt: skip
    assert (found.rung, found.candidate) == ("prompt", "good")


def test_a_metric_where_less_is_better_turns_everything_round() -> None:
    metric = parse_metric("reference_perplexity")
    high, low = [2.0 + 0.01 * (n % 7) for n in range(60)], [1.0 + 0.01 * (n % 5) for n in range(60)]
    candidates = [measured("prompt", high, metric), measured("tune", low, metric)]
    assert decide(candidates, Question(metric)).rung == "tune"
    assert decide(candidates, Question(metric, target=3.0)).rung == "tune"
    assert decide(candidates, Question(metric, target=9.0)).rung == "prompt"
    assert decide(candidates, Question(metric, target=1.5)).rung == "none"
    pair = compare_candidates(metric, candidates)[0]
    assert pair.difference.difference == pytest.approx(-1.0, abs=0.02)  # a, the prompt, is the worse one


def test_graded_scores_decide_too() -> None:
    metric = parse_metric("token_f1")
    found = decide(
        [measured("prompt", [0.3, 0.4, 0.2, 0.5] * 20, metric), measured("rag", [0.9, 0.8, 1.0, 0.7] * 20, metric)],
        Question(metric),
    )
    assert found.rung == "rag"
