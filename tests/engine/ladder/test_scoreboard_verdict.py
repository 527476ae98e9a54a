"""The verdict by every shape of evidence: a pure function of scores, whose reasons name their figures."""

import dataclasses

import pytest

from rung.engine.ladder.pairs import Measured, compare_candidates
from rung.engine.ladder.question import Question
from rung.engine.ladder.spec import Rung
from rung.engine.ladder.verdict import decide
from rung.engine.metrics.parse import parse_metric
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import aggregate

EXACT = parse_metric("exact_match")


def measured(
    rung: Rung,
    values: list[float],
    metric: MetricSpec = EXACT,
    name: str | None = None,
    label: str = "one way",
    groups: int | None = None,
) -> Measured:
    """One candidate's scores, the rows dealt to the groups in turn where there are any."""
    scores = tuple(
        ExampleScore(str(number), metric.key, value, group=None if groups is None else str(number % groups))
        for number, value in enumerate(values)
    )
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
    assert any(
        "prompting (one way) scores 0.200 [0.150, 0.261]" in why and "shown to miss" in why for why in found.reasons
    )
    assert any("retrieval (one way) scores 0.950 [0.910, 0.973] in exact_match on 200" in why for why in found.reasons)


def test_the_prompt_alone_may_be_enough() -> None:
    found = decide(
        [measured("prompt", right(195, 200)), measured("tune", right(200, 200))], Question(EXACT, target=0.9)
    )
    assert found.rung == "prompt"


def test_a_lower_rung_that_may_reach_the_target_leaves_it_undecided() -> None:
    found = decide([measured("prompt", right(17, 20)), measured("tune", right(200, 200))], Question(EXACT, target=0.8))
    assert (found.rung, found.candidate) == ("undecided", None)
    assert found.reasons[0] == "fine-tuning reaches the target 0.8; whether prompting does is open"
    assert any(
        "leaves open whether it reaches the target 0.8; " in why and "would tell" in why for why in found.reasons
    )
    assert found.needed is not None and found.needed.likely > 20
    assert (found.meanwhile.start_from, found.meanwhile.candidate) == ("prompt", "c-prompt")


def test_a_lower_rung_that_was_not_measured_leaves_it_undecided_by_name() -> None:
    found = decide(
        [measured("rag", right(20, 200)), measured("tune", right(200, 200))], Question(EXACT, target=0.8),
        {"prompt": "it was left out of this climb"}, applies=("prompt", "rag", "tune"),
    )  # fmt: skip
    assert (found.rung, found.not_measured) == ("undecided", ["prompt"])
    assert found.reasons[0] == "fine-tuning reaches the target 0.8; whether prompting does was not measured"
    assert found.headline == "Undecided: prompting was not measured"
    assert found.reasons[-1] == "prompting was not measured: it was left out of this climb"


def test_a_lower_rung_that_reaches_the_target_makes_the_higher_ones_irrelevant() -> None:
    measured_two = [measured("prompt", right(195, 200)), measured("rag", right(17, 20))]
    found = decide(measured_two, Question(EXACT, target=0.9), applies=("prompt", "rag", "tune"))
    assert (found.rung, found.headline) == ("prompt", "Stop at the prompt")


def test_none_only_where_every_rung_is_shown_to_miss_the_target() -> None:
    found = decide(
        [measured("prompt", right(40, 200)), measured("tune", right(180, 200))], Question(EXACT, target=0.99)
    )
    assert (found.rung, found.candidate) == ("none", None)
    assert found.reasons[0].startswith("every rung is shown to miss the target 0.99: the best is fine-tuning (one way)")
    assert found.headline == "None: every rung is shown to miss the target 0.99"


def test_none_needs_every_rung_that_applies() -> None:
    found = decide([measured("prompt", right(40, 200))], Question(EXACT, target=0.99), {"tune": "the budget is spent"},
                   applies=("prompt", "tune"))  # fmt: skip
    assert found.rung == "undecided"
    assert "whether fine-tuning does was not measured" in found.reasons[0]


def test_a_rung_that_the_budget_did_not_reach_leaves_it_undecided_and_is_named_first() -> None:
    low = [measured("prompt", right(40, 200)), measured("rag", right(41, 200))]
    why: dict[Rung, str] = {"tune": "the time budget of 5 minutes is spent (5.1)"}
    for target in (0.99, None):
        found = decide(low, Question(EXACT, target), why, applies=("prompt", "rag", "tune"), out_of_budget=["tune"])
        assert (found.rung, found.candidate) == ("undecided", None)
        assert found.headline == "Undecided: the budget ended before fine-tuning"
        assert found.reasons[0] == "the budget ended before fine-tuning: the time budget of 5 minutes is spent (5.1)"
        assert not any("no rung reaches" in why or "no rung is shown" in why for why in found.reasons)
    reached = decide([measured("prompt", right(195, 200))], Question(EXACT, 0.9), why, ("prompt", "tune"),
                     out_of_budget=["tune"])  # fmt: skip
    assert reached.rung == "prompt", "a lower rung that reaches the target is enough, whatever was not tried"


def test_a_rung_that_failed_is_named_and_never_counts_as_one_that_does_no_better() -> None:
    same = right(180, 200)
    candidates = [measured("prompt", same), measured("rag", same)]
    applies: tuple[Rung, ...] = ("prompt", "rag", "tune")
    assert decide(candidates, Question(EXACT), {"tune": "it was left out of this climb"}, applies).rung == "prompt"
    found = decide(candidates, Question(EXACT), applies=applies, failed={"tune": "The disk went away"})
    assert (found.rung, found.headline) == ("undecided", "Undecided: fine-tuning failed")
    assert found.reasons[0] == "fine-tuning failed: The disk went away"
    assert (found.meanwhile.start_from, found.not_measured) == ("prompt", ["tune"])
    reached = decide(candidates, Question(EXACT, 0.8), applies=applies, failed={"tune": "The disk went away"})
    assert reached.rung == "prompt" and reached.reasons[-1] == "fine-tuning failed: The disk went away"


@pytest.mark.parametrize(("n", "target"), [(12, 0.8), (30, 0.9), (160, 0.98)])
def test_all_right_on_too_few_rows_is_undecided_not_none(n: int, target: float) -> None:
    found = decide([measured("prompt", right(n, n)), measured("tune", right(n, n))], Question(EXACT, target=target))
    assert found.rung == "undecided"
    assert found.needed is not None and found.needed.likely > n


def test_without_a_target_the_best_where_the_others_are_shown_worse() -> None:
    found = decide(
        [measured("prompt", right(20, 150)), measured("rag", right(140, 150)), measured("tune", right(30, 150))],
        Question(EXACT),
    )
    assert (found.rung, found.candidate) == ("rag", "c-rag")
    assert any("shown worse (p < 0.001, corrected for 3 comparisons)" in why for why in found.reasons)


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
    assert found.needed is not None and found.needed.likely > 40
    assert f"{found.needed.words} would settle it" in found.reasons[0]


def test_an_undecided_one_says_where_to_start_and_what_climbing_could_bring_plainly_not_shown() -> None:
    prompt, tune = measured("prompt", right(30, 60)), measured("tune", right(33, 60))
    found = decide([prompt, tune], Question(EXACT))
    pair = compare_candidates(EXACT, [prompt, tune])[0].difference
    assert (found.rung, found.candidate) == ("undecided", None)
    assert (found.meanwhile.start_from, found.meanwhile.candidate) == ("prompt", "c-prompt")
    assert found.meanwhile.largest_gain == pytest.approx(-pair.low)
    assert found.meanwhile.margin_settled is not None and found.meanwhile.margin_settled > 0.02
    assert found.reasons[-1].startswith("not shown, but the rung to start from meanwhile: prompting (one way)")
    assert found.to_json()["candidate"] is None and found.to_json()["start_candidate"] == "c-prompt"


def test_few_groups_leave_open_what_the_interval_alone_would_settle_and_the_reason_says_so() -> None:
    worse, better = [1.0, 0.0, 0.0, 1.0, 0.0] * 48, [1.0, 0.0, 1.0, 1.0, 0.0] * 48
    said = "the interval would say so, but 12 groups are too few to exclude that a rare kind turns it round"
    found = decide([measured("prompt", worse, groups=12), measured("tune", better, groups=12)], Question(EXACT))
    assert found.rung == "undecided" and said in found.reasons[0]
    assert found.needed is not None and found.needed.groups and found.needed.words + " would settle" in found.reasons[0]
    enough = decide([measured("prompt", worse, groups=48), measured("tune", better, groups=48)], Question(EXACT))
    assert enough.rung == "tune"
    assert decide([measured("prompt", worse), measured("tune", better)], Question(EXACT)).rung == "tune"

    nine_in_ten = right(108, 120)  # one wrong in each group
    target = Question(EXACT, target=0.8)
    found = decide([measured("prompt", nine_in_ten, groups=12)], target)
    assert found.rung == "undecided" and any(said in why and "would tell" in why for why in found.reasons)
    assert found.needed is not None and found.needed.groups and found.needed.likely > 12
    assert decide([measured("prompt", nine_in_ten * 3, groups=36)], target).rung == "prompt"
    assert decide([measured("prompt", nine_in_ten)], target).rung == "prompt"


def test_a_rung_shown_worse_is_not_where_to_start() -> None:
    found = decide(
        [measured("prompt", right(5, 60)), measured("rag", right(40, 60)), measured("tune", right(43, 60))],
        Question(EXACT),
    )
    assert (found.rung, found.meanwhile.start_from) == ("undecided", "rag")


def test_a_lower_rung_that_is_open_keeps_the_verdict_open() -> None:
    found = decide(
        [measured("prompt", right(30, 40)), measured("rag", right(34, 40)), measured("tune", right(35, 40))],
        Question(EXACT),
    )
    assert found.rung == "undecided" and "prompting" in found.reasons[0]


def test_nothing_follows_from_being_observed_best() -> None:
    """One held-out row, or a lead of one answer in forty: the lowest rung is the observed best, nothing is shown."""
    one = [measured("prompt", [1.0]), measured("tune", [0.0])]
    lead = [measured("prompt", right(31, 40)), measured("tune", right(30, 40, wrong_first=True))]
    assert [decide(pair, Question(EXACT)).rung for pair in (one, lead)] == ["undecided", "undecided"]


def test_the_lowest_rung_wins_where_it_is_shown_no_worse_than_every_higher_one() -> None:
    found = decide(
        [measured("prompt", right(190, 200)), measured("rag", right(100, 200)), measured("tune", right(60, 200))],
        Question(EXACT),
    )
    assert (found.rung, found.headline) == ("prompt", "Stop at the prompt")


def test_tuning_alone_is_no_reason_to_tune() -> None:
    found = decide([measured("tune", right(58, 60))], Question(EXACT), {"prompt": "it was left out of this climb"},
                   applies=("prompt", "tune"))  # fmt: skip
    assert (found.rung, found.candidate, found.meanwhile.start_from) == ("undecided", None, None)
    assert found.headline == "Undecided: prompting was not measured"


def test_a_higher_rung_that_was_not_measured_is_named_in_the_headline() -> None:
    found = decide(
        [measured("prompt", right(20, 150)), measured("rag", right(140, 150))], Question(EXACT),
        applies=("prompt", "rag", "tune"),
    )  # fmt: skip
    assert (found.rung, found.headline) == ("rag", "Stop at RAG, of what was measured (fine-tuning was not)")


def test_one_rung_alone_is_enough_only_where_no_other_applies() -> None:
    skipped: dict[Rung, str] = {"rag": "the project has no documents"}
    alone = decide([measured("prompt", right(5, 10))], Question(EXACT), skipped, applies=("prompt",))
    assert alone.rung == "prompt" and "no other rung applies" in alone.reasons[0]
    assert "retrieval was not measured: the project has no documents" in alone.reasons
    found = decide([measured("prompt", right(5, 10))], Question(EXACT), skipped, applies=("prompt", "tune"))
    assert (found.rung, found.meanwhile.start_from) == ("undecided", "prompt")
    assert found.reasons[0].startswith("only prompting was measured: whether fine-tuning would do as well or better")


def test_nothing_measured_is_undecided() -> None:
    assert decide([], Question(EXACT)).rung == "undecided"


@pytest.mark.parametrize("target", [None, 0.5])
def test_nothing_right_anywhere_is_none(target: float | None) -> None:
    found = decide([measured("prompt", right(0, 50)), measured("tune", right(0, 50))], Question(EXACT, target=target))
    assert found.rung == "none"
    if target is None:
        assert "not one of 50 held-out examples is answered right on any rung" in found.reasons[0]


def test_nothing_right_on_a_few_rows_shows_nothing() -> None:
    found = decide([measured("prompt", right(0, 6)), measured("tune", right(0, 6))], Question(EXACT))
    assert found.rung == "undecided"


def test_of_several_candidates_on_a_rung_the_best_speaks() -> None:
    found = decide(
        [measured("prompt", right(2, 100), name="bad"), measured("prompt", right(95, 100), name="good"),
         measured("tune", right(10, 100))], Question(EXACT),
    )  # fmt: skip
    assert (found.rung, found.candidate) == ("prompt", "good")
    assert any("picked out of 2 candidates by the held-out examples themselves" in why for why in found.reasons)


def test_the_best_of_many_speaks_for_its_rung_with_a_corrected_interval_only() -> None:
    """Alone it would clear the target; as the best of twenty, picked by the same rows, it doesn't."""
    best = measured("prompt", right(139, 160), name="best")
    others = [measured("prompt", right(128, 160), name=f"c{number}") for number in range(19)]
    assert decide([best], Question(EXACT, target=0.8)).rung == "prompt"
    found = decide([best, *others], Question(EXACT, target=0.8))
    assert found.rung == "undecided"
    assert any("corrected for 20 looks" in why for why in found.reasons)


def test_a_picked_candidate_is_compared_at_a_stricter_level() -> None:
    a, b = measured("prompt", right(60, 100), name="a"), measured("tune", right(75, 100), name="b")
    plain = compare_candidates(EXACT, [a, b])[0]
    strict = compare_candidates(EXACT, [a, dataclasses.replace(b, looks=20)])[0]
    assert strict.difference.low < plain.difference.low and strict.difference.high > plain.difference.high
    assert strict.p_adjusted == pytest.approx(min(1.0, 20 * plain.p_adjusted))


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
