"""Rows that come in groups: clustered intervals and tests, what may be claimed from few groups, the size in groups.

What they cover is simulated in tests/engine/stats/test_statistics_grouped.py.
"""

import math

import numpy as np
import pytest
from scipy import stats

from rung.engine.metrics import ExampleScore, aggregate, compare_scores, parse_metric
from rung.engine.metrics.macro_f1 import compare_macro_f1, macro_f1
from rung.engine.stats.clustered import clustering_of_mean, groups_of
from rung.engine.stats.intervals import estimate, unseen_share
from rung.engine.stats.paired import compare, non_inferior, shown_worse
from rung.engine.stats.power import ExamplesNeeded, examples_for_target, examples_to_settle


def names(groups: int, each: int = 10) -> list[str]:
    return [f"g{number}" for number in np.repeat(np.arange(groups), each)]


def test_a_clustered_standard_error_is_statsmodels() -> None:
    from statsmodels.regression.linear_model import OLS

    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(20), 5)
    values = generator.normal(size=20)[owners] + generator.normal(size=100)
    groups = groups_of([str(name) for name in owners])
    assert groups is not None
    found = clustering_of_mean(values, groups, 0.95)
    fitted = OLS(values, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": owners, "use_correction": False})
    # For groups of one size CR2 is CR0 times G / (G - 1).
    expected = float(fitted.bse[0]) * math.sqrt(20 / 19)
    assert found.error_ratio * float(values.std(ddof=1)) / 10 == pytest.approx(expected, rel=0.01)
    assert found.error_ratio > 1.5 and found.t == pytest.approx(stats.t.ppf(0.975, 19))


def test_groups_of_one_row_and_none_at_all_change_nothing() -> None:
    values, other = [1, 0, 1, 1, 0.5, 1, 1, 0], [0, 0, 1, 1, 1, 0.5, 0, 1]
    alone = [str(number) for number in range(8)]
    for groups in (alone, [None] * 8, None):
        assert estimate(values, groups=groups) == estimate(values)
        assert compare(values, other, groups=groups) == compare(values, other)


def test_an_interval_with_groups_is_never_the_narrower_one_and_counts_them() -> None:
    generator = np.random.default_rng(2)
    for trial in range(60):
        owners = [str(name) for name in generator.integers(0, 3 + trial // 4, 30)]
        a, b = generator.random(30) < 0.9, generator.random(30) < 0.8
        for one, other in ((a.astype(float), b.astype(float)), (generator.beta(9, 1, 30), generator.beta(8, 2, 30))):
            with_groups, without = estimate(list(one), groups=owners), estimate(list(one))
            assert with_groups.groups == len(set(owners)) and without.groups is None
            assert with_groups.low <= without.low and with_groups.high >= without.high
            paired, plain = compare(list(one), list(other), groups=owners), compare(list(one), list(other))
            assert paired.low <= plain.low + 1e-9 and paired.high >= plain.high - 1e-9
            assert paired.p >= plain.p and paired.groups == len(set(owners))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_groups_say_next_to_nothing(count: int) -> None:
    owners = [str(number % count) for number in range(40)]
    right = estimate([1.0] * 40, groups=owners)
    assert right.low < 0.25 and right.high == 1.0 and right.groups == count
    assert estimate([1.0, 0.5] * 20, groups=owners).low < 0.3
    labels = ["a", "b"] * 20
    assert macro_f1(labels, labels, groups=owners).low < 0.3
    worse = compare([0.0] * 40, [1.0] * 40, groups=owners)
    assert worse.p >= 0.5 and not shown_worse(worse)
    assert compare_macro_f1(["a"] * 40, labels, labels, groups=owners).p > 0.4
    assert compare([0.0] * 40, [0.0] * 40, groups=owners).p == 1.0


@pytest.mark.parametrize("groups", [["a"] * 8, ["a"] * 4 + ["b"] * 4])
@pytest.mark.parametrize("values", [[1.0] * 8, [0.0, 1.0] * 4, [0.2, 0.9] * 4, [1.0] * 4 + [0.0] * 4])
def test_intervals_of_one_or_two_groups_stay_within_the_bounds(groups: list[str], values: list[float]) -> None:
    found = estimate(values, groups=groups)
    assert 0 <= found.low <= found.score <= found.high <= 1 and found.high - found.low > 0.5
    apart = compare(values, values[::-1], groups=groups)
    assert -1 <= apart.claim_low <= apart.low <= apart.difference <= apart.high <= apart.claim_high <= 1
    assert not shown_worse(apart)


def test_a_claim_reaches_to_what_unseen_groups_could_change() -> None:
    unseen = unseen_share(12, 0.95)
    for a, b in (([0.0, 0.0, 0.0, 1.0] * 30, [0.0, 0.0, 1.0, 1.0] * 30), ([0.3, 0.5] * 60, [0.5, 0.5] * 60)):
        found = compare(a, b, groups=names(12))
        mean = found.difference
        assert found.claim_low == min(found.low, mean - unseen * (1 + mean)) < found.low
        assert found.claim_high == max(found.high, mean + unseen * (1 - mean)) > found.high
        # The interval says worse, and so does the test: 12 groups are too few to claim it.
        assert found.high < 0 and found.p < 0.05 and not shown_worse(found)
        assert (found.flipped.claim_low, found.flipped.claim_high) == (-found.claim_high, -found.claim_low)
        assert shown_worse(compare(a * 4, b * 4, groups=names(48)))
        independent = compare(a, b)
        assert independent.claim is None and shown_worse(independent)
        assert (independent.claim_low, independent.claim_high) == (independent.low, independent.high)
    far = compare([0.0] * 120, [0.9] * 120, groups=names(12))
    assert shown_worse(far)


def test_no_worse_needs_as_many_groups_as_the_margin_is_small() -> None:
    same = [0.5, 0.7] * 740
    assert not non_inferior(compare(same, same, groups=names(148)), 0.02)
    assert non_inferior(compare([*same, *same[:10]], [*same, *same[:10]], groups=names(149)), 0.02)
    planned = examples_to_settle(same[:300], same[:300], 0.02, groups=names(30))
    assert planned is not None and planned.groups and 149 <= planned.likely <= 155


def test_scores_and_macro_f1_leave_room_for_unseen_groups_too() -> None:
    unseen = unseen_share(12, 0.95)
    found = estimate(([1.0] * 9 + [0.0]) * 12, groups=names(12))
    assert found.low > 0.8 and found.claim_low == pytest.approx(0.9 * (1 - unseen))
    assert found.claim_high == found.high
    expected = ["yes", "no"] * 60
    predicted = [("yes" if one == "no" else "no") if number % 10 == 0 else one for number, one in enumerate(expected)]
    score = macro_f1(predicted, expected, groups=names(12))
    assert score.claim_low == pytest.approx(score.score * (1 - unseen)) and score.claim_low < score.low
    apart = compare_macro_f1(predicted, expected, expected, groups=names(12))
    assert apart.high < 0 and apart.claim_high == apart.difference + unseen * (1 - apart.difference) > 0
    perplexity = estimate([1.5, 2.5] * 60, bounds=None, groups=names(12))
    assert perplexity.claim == (perplexity.low, perplexity.high)


def test_scores_bring_their_groups() -> None:
    spec = parse_metric("exact_match")
    owners = names(10, 4)
    values = {
        "a": [float(number % 7 > 0) for number in range(40)],
        "b": [float(number % 3 > 0) for number in range(40)],
    }
    a, b = (
        [
            ExampleScore(str(row), spec.key, value, group=name)
            for row, (value, name) in enumerate(zip(side, owners, strict=True))
        ]
        for side in values.values()
    )
    assert aggregate(spec, a) == estimate(values["a"], groups=owners)
    assert compare_scores(spec, a, list(reversed(b))) == compare(values["a"], values["b"], groups=owners)
    assert aggregate(spec, a).groups == 10
    perplexity = parse_metric("reference_perplexity")
    nats = [ExampleScore(str(row), perplexity.key, 1.0 + row % 3, group=name) for row, name in enumerate(owners)]
    found = aggregate(perplexity, nats)
    assert (found.claim_low, found.claim_high) == (found.low, found.high) and found.high > found.score


def test_macro_f1_follows_its_groups_too() -> None:
    generator = np.random.default_rng(3)
    expected = ["yes" if one else "no" for one in generator.random(160) < 0.5]
    wrong = np.repeat(generator.random(16) < 0.3, 10)
    predicted = [("no" if e == "yes" else "yes") if bad else e for e, bad in zip(expected, wrong, strict=True)]
    alone, together = macro_f1(predicted, expected), macro_f1(predicted, expected, groups=names(16))
    assert together.groups == 16 and alone.groups is None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_all_answers_right_still_need_more_and_leave_the_range_open() -> None:
    for n, target, fewest in ((12, 0.8, 16), (30, 0.9, 35), (160, 0.98, 189)):
        found = examples_for_target([1.0] * n, target)
        assert found is not None and found.low == found.likely == fewest
        assert found.high is not None and found.high > 2 * fewest


def test_sizes_are_told_as_ranges_and_count_groups() -> None:
    assert ExamplesNeeded(57, 260, 2_877).words == "about 57 to 2,900 held-out examples"
    assert ExamplesNeeded(57, 260, None).words == "at least 57 held-out examples"
    assert ExamplesNeeded(40, 60, 90, True).words == "about 40 to 90 groups of held-out examples"
    b = [1.0] * 36 + [0.0] * 4
    a = [0.0] + b[1:]
    single, grouped = examples_to_settle(a, b, 0.02), examples_to_settle(a, b, 0.02, groups=names(10, 4))
    assert single is not None and grouped is not None
    assert single.low < single.likely < (single.high or math.inf)
    assert grouped.groups and not single.groups and 149 < grouped.likely < 4 * single.likely
    # Non-inferiority is tested at 95 % however many pairs there are: the corrected level is the difference test's.
    corrected, plain = examples_to_settle(b, b, 0.02, alpha=0.05 / 3), examples_to_settle(b, b, 0.02)
    assert corrected is not None and plain is not None and corrected.likely == plain.likely == 189


def test_what_would_settle_it_is_a_range() -> None:
    values = ([1.0] * 8 + [1.0, 0.0]) * 13 + [1.0, 0.0, 0.0] * 10
    rows, grouped = examples_for_target(values, 0.8), examples_for_target(values, 0.8, groups=names(16))
    assert rows is not None and grouped is not None
    assert rows.low < rows.likely and (rows.high is None or rows.high > rows.likely)
    assert grouped.groups and grouped.low > 16 and "groups of held-out examples" in grouped.words
