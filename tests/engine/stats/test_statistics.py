"""Intervals, paired tests and sample sizes against scipy, statsmodels and brute force."""

import math
import warnings

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats import contingency_tables, multitest, proportion

from rung.engine.core.errors import EngineError
from rung.engine.stats.bootstrap import bca_interval
from rung.engine.stats.distributions import binomial_pmf, student_t_quantile
from rung.engine.stats.intervals import estimate, unseen_share, wilson
from rung.engine.stats.paired import compare, compare_all, holm, non_inferior, shown_worse
from rung.engine.stats.paired_proportions import mcnemar_p, tango_interval
from rung.engine.stats.permutation import sign_flip_p_values

GENERATOR = np.random.default_rng(7)


@pytest.mark.parametrize(("right", "n"), [(0, 30), (1, 30), (15, 30), (27, 30), (30, 30), (812, 1319)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_statsmodels(right: int, n: int, confidence: float) -> None:
    expected = proportion.proportion_confint(right, n, alpha=1 - confidence, method="wilson")
    assert wilson(right, n, confidence) == pytest.approx(expected, abs=1e-12)


def test_right_or_wrong_gets_wilson_and_graded_gets_bca() -> None:
    assert estimate([1, 1, 0, True]).method == "wilson"
    assert estimate([1, 1, 0, 0.5]).method == "bca"


@pytest.mark.parametrize(
    "values", [GENERATOR.beta(2, 1, 120), GENERATOR.exponential(1, 80), GENERATOR.normal(0, 1, 60)]
)
def test_bca_is_scipy(values: np.ndarray) -> None:
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=9_999, rng=1)
    jackknife = (values.sum() - values) / (len(values) - 1)
    ours = bca_interval(values.mean(), theirs.bootstrap_distribution, jackknife, 0.95)
    expected = theirs.confidence_interval
    assert ours == pytest.approx((expected.low, expected.high), rel=1e-6)
    # With other replicates the ends move by the noise of a bootstrap quantile in the tail.
    own = estimate(list(values), bounds=None)
    assert (own.low, own.high) == pytest.approx(ours, abs=(expected.high - expected.low) / 10)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = list(GENERATOR.random(50))
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


def test_values_that_are_all_equal_give_an_honest_interval_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bounded = estimate([0.7] * 30)
        unbounded = estimate([0.7] * 30, bounds=None)
        single = estimate([0.4])
        pair = compare([0.7] * 30, [0.7] * 30)
    unseen = unseen_share(30, 0.95)
    assert (bounded.low, bounded.high) == pytest.approx((0.7 - 0.7 * unseen, 0.7 + 0.3 * unseen))
    assert (unbounded.low, unbounded.high) == (unbounded.score, unbounded.score) == pytest.approx((0.7, 0.7))
    assert single.low < 0.05 and single.high > 0.9
    assert pair.p == 1.0 and pair.low < 0 < pair.high


def test_scores_that_cannot_be_estimated_are_refused() -> None:
    with pytest.raises(EngineError, match="no scores"):
        estimate([])
    with pytest.raises(EngineError, match="value 2 is nan"):
        estimate([1.0, math.nan])
    with pytest.raises(EngineError, match="unbounded"):
        estimate([3.5], bounds=None)
    with pytest.raises(EngineError, match="3 scores against 2"):
        compare([1, 0, 1], [1, 0])


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 29, 30, 199, 1_998, 5_000])
def test_student_t_quantile_is_scipy(degrees: int) -> None:
    for probability in (0.9, 0.95, 0.975, 0.995):
        assert student_t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)


def test_binomial_pmf_is_scipy() -> None:
    counts = np.arange(40)
    for probability in (0.0, 0.03, 0.5, 1.0):
        assert binomial_pmf(counts, 35, probability) == pytest.approx(
            stats.binom.pmf(counts, 35, probability), abs=1e-12
        )


@pytest.mark.parametrize(("a_only", "b_only"), [(0, 0), (0, 5), (1, 6), (12, 2), (10, 10), (40, 61)])
def test_mcnemar_is_statsmodels(a_only: int, b_only: int) -> None:
    expected = contingency_tables.mcnemar([[30, a_only], [b_only, 8]], exact=True).pvalue
    assert mcnemar_p(a_only, b_only) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("a_only", "b_only", "n"), [(12, 2, 50), (0, 1, 44), (7, 7, 30), (3, 0, 30), (20, 35, 400)])
def test_tango_ends_where_the_score_test_by_maximum_likelihood_rejects(a_only: int, b_only: int, n: int) -> None:
    for end in tango_interval(a_only, b_only, n):
        assert abs(_score_by_maximum_likelihood(a_only, b_only, n, end)) == pytest.approx(
            stats.norm.ppf(0.975), rel=1e-3
        )


def test_tango_without_discordant_pairs_is_its_closed_form() -> None:
    z2 = stats.norm.ppf(0.975) ** 2
    assert tango_interval(0, 0, 30) == pytest.approx((-z2 / (30 + z2), z2 / (30 + z2)), abs=1e-9)


def test_sign_flip_is_scipy_where_all_flips_are_tried() -> None:
    differences = GENERATOR.normal(0.3, 1, 10).round(1)
    expected = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p_values(differences[None, :])[0] == pytest.approx(expected, abs=1e-12)


def test_sign_flip_by_random_flips_is_near_the_exact_one() -> None:
    differences = np.concatenate([GENERATOR.normal(0.45, 1, 14), np.zeros(6)])
    exact = sign_flip_p_values(differences[None, :14])[0]
    # Zeros change nothing, but make 20 values, of which the flips are drawn at random.
    drawn = sign_flip_p_values(differences[None, :])[0]
    assert 0.001 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9_999) + 1e-4)


def test_compare_right_and_wrong() -> None:
    a, b = [1] * 20 + [1] * 9 + [0] * 1, [1] * 20 + [0] * 9 + [1] * 1
    found = compare(a, b)
    assert (found.difference, found.n, found.a_better, found.b_better) == (pytest.approx(8 / 30), 30, 9, 1)
    assert found.p == pytest.approx(stats.binomtest(1, 10).pvalue)
    assert found.low < 8 / 30 < found.high and found.low > 0
    turned = compare(b, a)
    assert (turned.low, turned.high, turned.p) == pytest.approx((-found.high, -found.low, found.p))
    assert shown_worse(turned) and not shown_worse(found) and not shown_worse(turned, p=0.2)


def test_compare_graded_matches_the_paired_t_interval() -> None:
    # Noise enough that t reaches beyond the floor for unseen answers.
    generator = np.random.default_rng(4)
    b = 0.2 + 0.4 * generator.random(200)
    a = b + 0.1 + generator.normal(0, 0.15, 200).clip(-0.3, 0.3)
    found = compare(list(a), list(b))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.p == pytest.approx(1 / 10_000)  # the smallest that 9,999 flips can give


def test_non_inferiority_is_read_from_the_interval() -> None:
    same = [1] * 270 + [0] * 30
    assert non_inferior(compare(same, same), margin=0.02)
    assert not non_inferior(compare(same[:150], same[:150]), margin=0.02)
    assert not non_inferior(compare([0] * 20 + same[20:], same), margin=0.02)


def test_holm_is_statsmodels() -> None:
    for p_values in ([0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [0.02], list(GENERATOR.random(10) ** 3)):
        assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1])
    assert holm([]) == []


def test_every_pair_is_compared_with_corrected_p() -> None:
    scores = {name: list(GENERATOR.integers(0, 2, 40)) for name in ("prompt", "rag", "tune")}
    pairs = compare_all(scores)
    assert [(pair.a, pair.b) for pair in pairs] == [("prompt", "rag"), ("prompt", "tune"), ("rag", "tune")]
    assert [pair.p_adjusted for pair in pairs] == holm([pair.difference.p for pair in pairs])


def _score_by_maximum_likelihood(a_only: int, b_only: int, n: int, difference: float) -> float:
    """Tango's statistic with the nuisance share found by numerical maximisation instead of the quadratic formula."""
    both = n - a_only - b_only

    def minus_log_likelihood(share: float) -> float:
        terms = ((a_only, share + difference), (b_only, share), (both, 1 - 2 * share - difference))
        return -sum(count * math.log(max(rate, 1e-300)) for count, rate in terms if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = optimize.minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((a_only - b_only - n * difference) / math.sqrt(n * (2 * share + difference * (1 - difference))))
