"""A score and how sure it is: Wilson's interval for right/wrong, BCa with a floor for graded scores.

Rows that come in groups get clustered intervals: see `rung.engine.stats.clustered`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rung.engine.core.errors import EngineError
from rung.engine.stats.bootstrap import RESAMPLES, bca_intervals
from rung.engine.stats.clustered import Clustering, Groups, clustering_of_mean, groups_of
from rung.engine.stats.distributions import two_sided_z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Bounds = tuple[float, float]
ZERO_TO_ONE: Bounds = (0.0, 1.0)


@dataclass(frozen=True)
class Estimate:
    """A score over n examples with its interval; `groups` says how many groups they are in, None without groups.

    `claim` is what a claim about the score must leave room for, where that is more than the interval: with few groups
    a rare kind of group may have gone unseen (see `claim_ends`). None without groups.
    """

    score: float
    low: float
    high: float
    n: int
    method: Literal["wilson", "bca"] = "wilson"
    groups: int | None = None
    claim: tuple[float, float] | None = None

    @property
    def claim_low(self) -> float:
        """The lowest score that is not excluded."""
        return self.low if self.claim is None else self.claim[0]

    @property
    def claim_high(self) -> float:
        """The highest score that is not excluded."""
        return self.high if self.claim is None else self.claim[1]


def estimate(
    values: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str | None] | None = None,
) -> Estimate:
    """The mean of the values with its interval: Wilson's where all are 0 or 1, otherwise BCa.

    `bounds` are the metric's lowest and highest possible value, None where it has none. `groups` names each value's
    group: rows of one group are alike, and the interval is as much wider as they were found to be. Raises
    EngineError for no values, for values that are not finite, and for a single graded value of an unbounded metric.
    """
    checked = finite_values(values)
    found = groups_of(groups)
    clustering = clustering_of_mean(checked, found, confidence) if found else None
    if is_right_or_wrong(checked):
        estimated = _right_or_wrong(checked, clustering, confidence)
    else:
        estimated = _graded(checked, clustering, confidence, seed, bounds)
    if found is None:
        return estimated
    claim = claim_ends(estimated.score, estimated.low, estimated.high, found, confidence, bounds)
    return replace(estimated, groups=found.count, claim=claim)


def _right_or_wrong(values: NDArray[np.float64], clustering: Clustering | None, confidence: float) -> Estimate:
    n, score = len(values), float(values.mean())
    low, high = wilson(round(values.sum()), n, confidence)
    if clustering:
        # Korn and Graubard (1998): as many independent answers as these are worth; and t for z.
        low, high = wilson_interval(score, clustering.effective_n, clustering.t)
    return Estimate(score, low, high, n)


def _graded(
    values: NDArray[np.float64], clustering: Clustering | None, confidence: float, seed: int, bounds: Bounds | None
) -> Estimate:
    n, score = len(values), float(values.mean())
    if n == 1 and not _within(values, bounds):
        raise EngineError("one example gives no interval for an unbounded metric", hint="score at least two examples")
    lows, highs = graded_intervals(values[None, :], confidence, seed, bounds)
    low, high = float(lows[0]), float(highs[0])
    if clustering:
        low, high = clustered_interval(score, low, high, clustering, confidence, bounds)
    return Estimate(score, low, high, n, "bca")


def wilson(right: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion: `right` of n. It never leaves 0 to 1, and covers at small n."""
    return wilson_interval(right / n, n, two_sided_z(confidence))


def wilson_interval(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of n answers, n not necessarily whole, that reaches z standard errors."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the ends are exactly 0 and 1; rounding must not move them past the score.
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    high = 1.0 if share >= 1 else min(1.0, centre + half)
    return low, high


def graded_intervals(
    samples: NDArray[np.float64], confidence: float, seed: int, bounds: Bounds | None, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """BCa intervals of each row's mean, no shorter than what answers too rare to have been seen could change.

    The bootstrap knows nothing that the sample doesn't show: 30 good answers say little about a failure in twenty
    (BCa alone covers 77 % there, with the floor 93 % or more). So the ends lie at least where the mean would be if
    the largest share that may well have gone unseen, about 3 / n (the rule of three), sat on the bound.
    """
    import numpy as np

    lows, highs = bca_intervals(samples, confidence, seed, resamples)
    if bounds is None or not _within(samples, bounds):
        return lows, highs
    means = samples.mean(axis=1)
    unseen = unseen_share(samples.shape[1], confidence)
    lows = np.minimum(lows, means - unseen * (means - bounds[0]))
    highs = np.maximum(highs, means + unseen * (bounds[1] - means))
    return lows, highs


def clustered_interval(
    score: float, low: float, high: float, clustering: Clustering, confidence: float, bounds: Bounds | None
) -> tuple[float, float]:
    """An interval for independent rows made wider for groups, with the floor of as many rows as they are worth."""
    low, high = clustering.widened(score, low, high, confidence)
    if bounds is None:
        return low, high
    unseen = unseen_share(clustering.effective_n, confidence)
    low, high = min(low, score - unseen * (score - bounds[0])), max(high, score + unseen * (bounds[1] - score))
    return max(low, min(bounds[0], score)), min(high, max(bounds[1], score))


def claim_ends(
    score: float, low: float, high: float, groups: Groups, confidence: float, bounds: Bounds | None
) -> tuple[float, float]:
    """How far a claim must reach where rows come in groups: to what a kind of group that went unseen could change.

    The interval covers where groups differ by degrees. Where one group in ten is bad, 12 groups show none of them in
    28 trials of 100, and the interval then excludes the truth: claims made from it were false in 11 to 18 % of trials.
    So the ends lie at least where the value would be if the largest share of groups that may well have gone unseen (3
    of the effective number of groups, the rule of three) sat on the bound. Unbounded metrics have no such end.
    """
    if bounds is None:
        return low, high
    unseen = unseen_share(groups.effective, confidence)
    return min(low, score - unseen * (score - bounds[0])), max(high, score + unseen * (bounds[1] - score))


def unseen_share(n: float, confidence: float) -> float:
    """The share of answers of which none is seen among n with probability 1 - confidence: about 3 / n at 95 %."""
    return float(-math.expm1(math.log(1 - confidence) / n))


def finite_values(values: Sequence[float]) -> NDArray[np.float64]:
    """The values as an array. Raises EngineError for none at all, or one that is not a finite number."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise EngineError("there are no scores to estimate from", hint="score at least one example")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise EngineError("a score is not a finite number", f"value {int(bad[0]) + 1} is {array[bad[0]]}")
    return array


def is_right_or_wrong(values: NDArray[np.float64]) -> bool:
    """Whether every value is 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())


def _within(values: NDArray[np.float64], bounds: Bounds | None) -> bool:
    return bounds is not None and bool((values >= bounds[0]).all() and (values <= bounds[1]).all())
