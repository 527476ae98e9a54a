"""Rows that come in groups: clustered intervals and tests, the size in groups, and what they cover (simulated)."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from engine.measure.clustered import clustering_of_mean, groups_of
from engine.measure.intervals import estimate, graded_intervals
from engine.measure.metrics import ExampleScore, aggregate, compare_scores, parse_metric
from engine.measure.metrics.macro_f1 import compare_macro_f1, macro_f1
from engine.measure.paired import compare, mean_difference_interval, shown_worse
from engine.measure.power import ExamplesNeeded, examples_for_target, examples_to_settle

Values = NDArray[np.float64]
LIKENESS = (0.0, 0.1, 0.3, 0.5)
EACH = 10


def test_a_clustered_standard_error_is_statsmodels() -> None:
    from statsmodels.regression.linear_model import OLS

    generator = np.random.default_rng(0)
    names = np.repeat(np.arange(20), 5)
    values = generator.normal(size=20)[names] + generator.normal(size=100)
    groups = groups_of([str(name) for name in names])
    assert groups is not None
    found = clustering_of_mean(values, groups, 0.95)
    fitted = OLS(values, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": names, "use_correction": False})
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


def test_an_interval_with_groups_is_never_the_narrower_one() -> None:
    generator = np.random.default_rng(2)
    for trial in range(60):
        names = [str(name) for name in generator.integers(0, 3 + trial // 4, 30)]
        a, b = generator.random(30) < 0.9, generator.random(30) < 0.8
        for one, other in ((a.astype(float), b.astype(float)), (generator.beta(9, 1, 30), generator.beta(8, 2, 30))):
            with_groups, without = estimate(list(one), groups=names), estimate(list(one))
            assert with_groups.groups == len(set(names)) and without.groups is None
            assert with_groups.low <= without.low and with_groups.high >= without.high
            paired, plain = compare(list(one), list(other), groups=names), compare(list(one), list(other))
            assert paired.low <= plain.low + 1e-9 and paired.high >= plain.high - 1e-9


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_groups_say_next_to_nothing(count: int) -> None:
    names = [str(number % count) for number in range(40)]
    right = estimate([1.0] * 40, groups=names)
    assert right.low < 0.25 and right.high == 1.0 and right.groups == count
    assert estimate([1.0, 0.5] * 20, groups=names).low < 0.3
    labels = ["a", "b"] * 20
    assert macro_f1(labels, labels, groups=names).low < 0.3
    worse = compare([0.0] * 40, [1.0] * 40, groups=names)
    assert worse.p >= 0.5 and not shown_worse(worse)
    assert compare_macro_f1(["a"] * 40, labels, labels, groups=names).p > 0.4
    assert compare([0.0] * 40, [0.0] * 40, groups=names).p == 1.0


def test_scores_bring_their_groups() -> None:
    spec = parse_metric("exact_match")
    names = [str(number // 4) for number in range(40)]
    values = {
        "a": [float(number % 7 > 0) for number in range(40)],
        "b": [float(number % 3 > 0) for number in range(40)],
    }
    a, b = (
        [
            ExampleScore(str(row), spec.key, value, group=name)
            for row, (value, name) in enumerate(zip(side, names, strict=True))
        ]
        for side in values.values()
    )
    assert aggregate(spec, a) == estimate(values["a"], groups=names)
    assert compare_scores(spec, a, list(reversed(b))) == compare(values["a"], values["b"], groups=names)
    assert aggregate(spec, a).groups == 10


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
    a, names = [0.0] + b[1:], [str(number // 4) for number in range(40)]
    single, grouped = examples_to_settle(a, b, 0.02), examples_to_settle(a, b, 0.02, groups=names)
    assert single is not None and grouped is not None
    assert single.low < single.likely < (single.high or math.inf)
    assert grouped.groups and not single.groups and 10 < grouped.likely < single.likely < 4 * grouped.likely
    # Non-inferiority is tested at 95 % however many pairs there are: the corrected level is the difference test's.
    corrected, plain = examples_to_settle(b, b, 0.02, alpha=0.05 / 3), examples_to_settle(b, b, 0.02)
    assert corrected is not None and plain is not None and corrected.likely == plain.likely == 189


def test_skewed_differences_are_rarely_called_worse() -> None:
    """Sign flips alone call a skewed difference of mean 0 worse in far more than one trial in twenty."""
    generator = np.random.default_rng(1)
    flips, both, trials = 0, 0, 400
    for _ in range(trials):
        # Nine in ten slightly worse, one in ten much better: the mean difference is 0.
        differences = np.where(generator.random(30) < 0.1, 0.9, -0.1) * 0.5
        found = compare(list(0.5 + differences), [0.5] * 30)
        flips += found.p <= 0.05 and found.difference < 0
        both += shown_worse(found)
    assert flips / trials > 0.05
    assert both / trials <= 0.05


def test_few_groups_are_covered_quickly_simulated() -> None:
    covers = [_share_coverage(12, likeness, 0.8, 120) for likeness in (0.0, 0.5)]
    assert min(covers) >= 0.88
    assert _false_alarms(12, 0.5, 60)[1] <= 0.05 + 2 * 0.028


@pytest.mark.accept
def test_intervals_of_grouped_rows_cover() -> None:
    for count in (12, 16, 40):
        covers = {
            (likeness, rate): _share_coverage(count, likeness, rate, 400)
            for likeness in LIKENESS
            for rate in (0.5, 0.7, 0.8, 0.9, 0.95)
        }
        print(f"share right, {count} groups:", _figures(list(covers.values())))
        # Conservative where groups turn out not to matter: the likeness of few groups can't be told.
        assert 0.93 <= np.mean(list(covers.values())) <= 0.975
        assert min(covers.values()) >= 0.90, min(covers, key=lambda case: covers[case])


@pytest.mark.accept
def test_differences_of_grouped_rows_cover_and_raise_few_false_alarms() -> None:
    for count in (12, 16, 40):
        covers, tests, worse = zip(*(_false_alarms(count, likeness, 200) for likeness in LIKENESS), strict=True)
        print(f"differences, {count} groups: {_figures(covers)}; p <= .05 {_figures(tests)}, worse {_figures(worse)}")
        assert np.mean(covers) >= 0.93 and min(covers) >= 0.90
        # "Shown worse" is one side of the test: 2.5 % and the noise of 200 trials.
        assert np.mean(worse) <= 0.05 and max(worse) <= 0.05 + 2 * 0.0154


@pytest.mark.accept
def test_intervals_of_independent_rows_cover() -> None:
    generator = np.random.default_rng(5)
    for n in (12, 30, 60, 160, 500):
        shares, graded, differences = [], [], []
        for rate in (0.5, 0.8, 0.9, 0.95):
            counts = np.arange(n + 1)
            ends = np.array([(found.low, found.high) for found in (estimate([1] * k + [0] * (n - k)) for k in counts)])
            shares.append(stats.binom.pmf(counts, n, rate)[(ends[:, 0] <= rate) & (rate <= ends[:, 1])].sum())
        for power in (0.1, 0.25, 1.0, 3.0):
            samples = generator.random((400, n)) ** power
            low, high = graded_intervals(samples, 0.95, 0, (0.0, 1.0), 999)
            graded.append(float(((low <= 1 / (1 + power)) & (1 / (1 + power) <= high)).mean()))
            apart = samples[:200] - generator.random((200, n)) ** (power / 2)
            true = 1 / (1 + power) - 1 / (1 + power / 2)
            found = [mean_difference_interval(row, 0.95, (0.0, 1.0)) for row in apart]
            differences.append(float(np.mean([low <= true <= high for low, high in found])))
        print(f"{n} rows: shares {_figures(shares)}; graded {_figures(graded)}; differences {_figures(differences)}")
        every = [*shares, *graded, *differences]
        # With 12 rows the floor for unseen answers makes graded intervals wider than skewed scores need.
        assert 0.93 <= np.mean(every) <= (0.985 if n == 12 else 0.97)
        assert min(every) >= (0.88 if n == 12 else 0.90)


@pytest.mark.accept
def test_graded_means_and_macro_f1_of_grouped_rows_cover() -> None:
    for count in (12, 40):
        graded = [_graded_coverage(count, likeness, 100) for likeness in LIKENESS]
        f1 = [_macro_f1_coverage(count, likeness, 100) for likeness in (0.0, 0.5)]
        print(f"{count} groups: graded {_figures(graded)}, macro-F1 {_figures(f1)}")
        assert np.mean([*graded, *f1]) >= 0.93 and min(graded + f1) >= 0.88


def _share_coverage(count: int, likeness: float, rate: float, trials: int) -> float:
    generator, covered = np.random.default_rng(1), 0
    names = [str(number // EACH) for number in range(count * EACH)]
    for _ in range(trials):
        scores = (generator.random(count * EACH) < _group_rates(generator, count, likeness, rate)).astype(float)
        found = estimate(list(scores), groups=names)
        covered += found.low <= rate <= found.high
    return covered / trials


def _graded_coverage(count: int, likeness: float, trials: int) -> float:
    generator, covered = np.random.default_rng(2), 0
    names = [str(number // EACH) for number in range(count * EACH)]
    for _ in range(trials):
        # A power of uniform luck is skewed towards 1; its mean is 4/5.
        scores = stats.norm.cdf(_luck(generator, count, likeness)) ** 0.25
        found = estimate(list(scores), groups=names)
        covered += found.low <= 0.8 <= found.high
    return covered / trials


def _macro_f1_coverage(count: int, likeness: float, trials: int) -> float:
    """Two labels, as common, and rightly named as often in either: the true macro-F1 is the rate."""
    generator, covered = np.random.default_rng(3), 0
    names = [str(number // EACH) for number in range(count * EACH)]
    for _ in range(trials):
        truth = generator.random(count * EACH) < 0.5
        right = generator.random(count * EACH) < _group_rates(generator, count, likeness, 0.8)
        found = macro_f1([str(one) for one in truth == right], [str(one) for one in truth], resamples=999, groups=names)
        covered += found.low <= 0.8 <= found.high
    return covered / trials


def _false_alarms(count: int, likeness: float, trials: int) -> tuple[float, float, float]:
    """Of two candidates right equally often: how often the interval covers 0, p <= .05, and a is shown worse."""
    generator = np.random.default_rng(4)
    covered, tests, worse = 0, 0, 0
    names = [str(number // EACH) for number in range(count * EACH)]
    for trial in range(trials):
        a, b = (stats.norm.cdf(_luck(generator, count, likeness)) for _ in range(2))
        rate = (0.5, 0.8, 0.95)[trial % 3]
        found = compare(list((a < rate).astype(float)), list((b < rate).astype(float)), groups=names)
        covered += found.low <= 0 <= found.high
        tests += found.p <= 0.05
        worse += shown_worse(found)
    return covered / trials, tests / trials, worse / trials


def _group_rates(generator: np.random.Generator, count: int, likeness: float, rate: float) -> Values:
    """Each row's true rate, the same in a group: from the beta distribution with this intraclass correlation."""
    if likeness == 0:
        return np.full(count * EACH, rate)
    known = (1 - likeness) / likeness
    return np.repeat(generator.beta(rate * known, (1 - rate) * known, count), EACH)


def _luck(generator: np.random.Generator, count: int, likeness: float) -> Values:
    """Standard normal values with this intraclass correlation."""
    shared = np.repeat(generator.standard_normal(count), EACH)
    return math.sqrt(likeness) * shared + math.sqrt(1 - likeness) * generator.standard_normal(count * EACH)


def _figures(shares: list[float] | tuple[float, ...]) -> str:
    return f"mean {np.mean(shares):.3f}, {min(shares):.3f} to {max(shares):.3f}"
