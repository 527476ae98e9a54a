"""Macro-averaged F1 of a classification, with a bootstrap interval and a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rung.engine.stats.bootstrap import RESAMPLES, affordable, bca_interval, resample_weights
from rung.engine.stats.clustered import Clustering, Groups, clustering, groups_of, uncommon
from rung.engine.stats.intervals import Estimate, claim_ends, clustered_interval, unseen_share
from rung.engine.stats.paired import Difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def macro_f1(
    predicted: Sequence[str],
    expected: Sequence[str],
    confidence: float = 0.95,
    seed: int = 0,
    groups: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean of the F1 of every label that is expected somewhere; BCa interval with the floor of graded scores.

    With `groups` it is as much wider as the jackknife of whole groups is than that of single examples.
    """
    import numpy as np

    n = len(expected)
    hits = _hits(predicted, expected, sorted(set(expected)))
    observed = float(_f1(np.ones((1, n)), hits)[0])
    replicates = np.concatenate([_f1(weights, hits) for weights in _resamples(n, seed, resamples)])
    low, high = bca_interval(observed, replicates, _leave_one_out(hits), confidence)
    unseen = unseen_share(n, confidence)
    low, high = min(low, observed - unseen * observed), max(high, observed + unseen * (1 - observed))
    found = groups_of(groups)
    if found is None:
        return Estimate(observed, low, high, n, "bca")
    spread = _clustering(_leave_one_out(hits), _leave_group_out(hits, found), found, confidence)
    low, high = clustered_interval(observed, low, high, spread, confidence, (0.0, 1.0))
    claim = claim_ends(observed, low, high, found, confidence, (0.0, 1.0))
    return Estimate(observed, low, high, n, "bca", found.count, claim)


def compare_macro_f1(
    a_predicted: Sequence[str],
    b_predicted: Sequence[str],
    expected: Sequence[str],
    confidence: float = 0.95,
    seed: int = 0,
    groups: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
) -> Difference:
    """The difference of two candidates' macro-F1 on the same examples.

    p by approximate randomisation (Noreen 1989): were they equally good, each pair of predictions might as well have
    been swapped. The interval is the paired bootstrap's BCa, with the floor of graded differences. With `groups`, whole
    groups are swapped, the interval is wider as in `macro_f1`, and claims reach to what unseen groups could change.
    """
    import numpy as np

    n, known = len(expected), sorted(set(expected))
    a, b = _hits(a_predicted, expected, known), _hits(b_predicted, expected, known)
    everything = np.ones((1, n))
    observed = float((_f1(everything, a) - _f1(everything, b))[0])
    replicates = np.concatenate([_f1(weights, a) - _f1(weights, b) for weights in _resamples(n, seed, resamples)])
    low, high = bca_interval(observed, replicates, _leave_one_out(a) - _leave_one_out(b), confidence)
    unseen = unseen_share(n, confidence)
    low, high = min(low, observed - unseen * (1 + observed)), max(high, observed + unseen * (1 - observed))
    found, claim = groups_of(groups), None
    if found:
        rows = _leave_one_out(a) - _leave_one_out(b)
        spread = _clustering(rows, _leave_group_out(a, found) - _leave_group_out(b, found), found, confidence)
        low, high = clustered_interval(observed, low, high, spread, confidence, (-1.0, 1.0))
        claim = claim_ends(observed, low, high, found, confidence, (-1.0, 1.0))
    a_right, b_right = (
        np.array([p == e for p, e in zip(side, expected, strict=True)]) for side in (a_predicted, b_predicted)
    )
    a_better, b_better = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    p = _swap_p(a, b, observed, seed, resamples, found)
    return Difference(observed, low, high, p, n, a_better, b_better, found.count if found else None, claim)


def _hits(predicted: Sequence[str], expected: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """What F1 is made of: rightly predicted, predicted, expected (0 or 1) by example and label [3, n, labels]."""
    import numpy as np

    guesses = np.array([[guess == label for label in known] for guess in predicted], dtype=np.float64)
    truths = np.array([[truth == label for label in known] for truth in expected], dtype=np.float64)
    return np.stack([guesses * truths, guesses, truths])


def _f1(weights: NDArray[np.float64], hits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Macro-F1 of each weighting of the examples: [weightings]."""
    right, guessed, expected = (weights @ part for part in hits)
    return _mean_f1(right, guessed + expected)


def _mean_f1(right: NDArray[np.float64], named: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean F1 over the labels that are named at all, from the counts [weightings, labels]."""
    import numpy as np

    present = named > 0.5
    each = np.where(present, 2 * right / np.maximum(named, 1), 0.0)
    mean: NDArray[np.float64] = each.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return mean


def _leave_one_out(hits: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = hits.sum(axis=1, keepdims=True) - hits
    return _mean_f1(totals[0], totals[1] + totals[2])


def _leave_group_out(hits: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    totals = hits.sum(axis=1, keepdims=True) - _by_group(hits, groups)
    return _mean_f1(totals[0], totals[1] + totals[2])


def _by_group(hits: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    """The hits summed over each group's examples: [3, groups, labels]."""
    import numpy as np

    summed = np.zeros((hits.shape[0], groups.count, hits.shape[2]))
    for part, own in zip(summed, hits, strict=True):
        np.add.at(part, groups.of_row, own)
    return summed


def _clustering(
    rows: NDArray[np.float64], by_group: NDArray[np.float64], groups: Groups, confidence: float
) -> Clustering:
    """What the groups do, from the values with one example left out [n] and with one group left out [groups]."""
    return clustering(_jackknife_variance(rows), _jackknife_variance(by_group), uncommon(rows), groups, confidence)


def _jackknife_variance(left_out: NDArray[np.float64]) -> float:
    return float(((left_out - left_out.mean()) ** 2).sum()) * (len(left_out) - 1) / len(left_out)


def _resamples(n: int, seed: int, resamples: int) -> list[NDArray[np.float64]]:
    import numpy as np

    return list(resample_weights(n, affordable(resamples, n), np.random.default_rng(seed)))


def _swap_p(
    a: NDArray[np.float64], b: NDArray[np.float64], observed: float, seed: int, swaps: int, groups: Groups | None
) -> float:
    import numpy as np

    if groups:
        a, b = _by_group(a, groups), _by_group(b, groups)
    n = a.shape[1]
    generator = np.random.default_rng(seed)
    total, at_least = affordable(swaps, n), 0
    for start in range(0, total, 1_000):
        swapped = generator.integers(0, 2, (min(1_000, total - start), n)).astype(np.float64)
        kept = 1 - swapped
        a_mixed = [kept @ own + swapped @ other for own, other in zip(a, b, strict=True)]
        b_mixed = [kept @ own + swapped @ other for own, other in zip(b, a, strict=True)]
        difference = _mean_f1(a_mixed[0], a_mixed[1] + a_mixed[2]) - _mean_f1(b_mixed[0], b_mixed[1] + b_mixed[2])
        at_least += int((np.abs(difference) >= abs(observed) - 1e-9).sum())
    return (at_least + 1) / (total + 1)
