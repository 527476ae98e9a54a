"""Macro-averaged F1 of a classification, with a bootstrap interval and a paired test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.measure.bootstrap import RESAMPLES, affordable, bca_interval, resample_weights
from engine.measure.clustered import degrees_of_freedom, group_numbers
from engine.measure.distributions import student_t_quantile
from engine.measure.intervals import Estimate, unseen_share
from engine.measure.paired import Difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def macro_f1(
    predicted: Sequence[str],
    expected: Sequence[str],
    confidence: float = 0.95,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean of the F1 of every label that is expected somewhere; BCa interval with the floor of graded scores.

    Where examples come in groups, the interval is at least as wide as the jackknife over whole groups says.
    """
    import numpy as np

    n = len(expected)
    hits = _hits(predicted, expected, sorted(set(expected)))
    observed = float(_f1(np.ones((1, n)), hits)[0])
    replicates = np.concatenate([_f1(weights, hits) for weights in _resamples(n, seed, resamples)])
    low, high = bca_interval(observed, replicates, _leave_one_out(hits), confidence)
    unseen = unseen_share(n, confidence)
    low, high = min(low, observed - unseen * observed), max(high, observed + unseen * (1 - observed))
    if (numbers := group_numbers(groups, n)) is None:
        return Estimate(observed, low, high, n, "bca")
    half = _group_half_width(_leave_groups_out(hits, numbers), confidence, numbers)
    low, high = max(0.0, min(low, observed - half)), min(1.0, max(high, observed + half))
    return Estimate(observed, low, high, n, "bca", int(numbers.max()) + 1)


def compare_macro_f1(
    a_predicted: Sequence[str],
    b_predicted: Sequence[str],
    expected: Sequence[str],
    confidence: float = 0.95,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> Difference:
    """The difference of two candidates' macro-F1 on the same examples.

    p by approximate randomisation (Noreen 1989): were they equally good, each pair of predictions might as well have
    been swapped. The interval is the paired bootstrap's BCa, with the floor of graded differences. Where examples come
    in groups, whole groups are swapped, and the interval is at least as wide as the jackknife over them says.
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
    a_right, b_right = (
        np.array([p == e for p, e in zip(side, expected, strict=True)]) for side in (a_predicted, b_predicted)
    )
    a_better, b_better = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    p = _swap_p(a, b, observed, seed, resamples)
    if (numbers := group_numbers(groups, n)) is None:
        return Difference(observed, low, high, p, n, a_better, b_better)
    left_out = _leave_groups_out(a, numbers) - _leave_groups_out(b, numbers)
    half = _group_half_width(left_out, confidence, numbers)
    low, high = max(-1.0, min(low, observed - half)), min(1.0, max(high, observed + half))
    p = max(p, _swap_p(a, b, observed, seed, resamples, numbers))
    return Difference(observed, low, high, p, n, a_better, b_better, len(left_out))


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


def _leave_groups_out(hits: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Macro-F1 without each group: [groups]."""
    import numpy as np

    count = int(numbers.max()) + 1
    member = np.zeros((count, len(numbers)))
    member[numbers, np.arange(len(numbers))] = 1.0
    return _f1(1.0 - member, hits)


def _group_half_width(left_out: NDArray[np.float64], confidence: float, numbers: NDArray[np.int64]) -> float:
    """Half of the jackknife's interval over groups (Tukey), with Student's t."""
    count = len(left_out)
    if count < 2:
        return math.inf
    error = math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
    return student_t_quantile(0.5 + confidence / 2, degrees_of_freedom(numbers)) * error


def _resamples(n: int, seed: int, resamples: int) -> list[NDArray[np.float64]]:
    import numpy as np

    return list(resample_weights(n, affordable(resamples, n), np.random.default_rng(seed)))


def _swap_p(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    observed: float,
    seed: int,
    swaps: int,
    numbers: NDArray[np.int64] | None = None,
) -> float:
    """The share of random swaps, of examples or of whole groups (`numbers`), with a difference as large."""
    import numpy as np

    n = a.shape[1]
    owners = np.arange(n) if numbers is None else numbers
    generator = np.random.default_rng(seed)
    total, at_least = affordable(swaps, n), 0
    for start in range(0, total, 1_000):
        count = min(1_000, total - start)
        swapped = generator.integers(0, 2, (count, int(owners.max()) + 1)).astype(np.float64)[:, owners]
        kept = 1 - swapped
        a_mixed = [kept @ own + swapped @ other for own, other in zip(a, b, strict=True)]
        b_mixed = [kept @ own + swapped @ other for own, other in zip(b, a, strict=True)]
        difference = _mean_f1(a_mixed[0], a_mixed[1] + a_mixed[2]) - _mean_f1(b_mixed[0], b_mixed[1] + b_mixed[2])
        at_least += int((np.abs(difference) >= abs(observed) - 1e-9).sum())
    return (at_least + 1) / (total + 1)
