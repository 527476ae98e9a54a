"""Distribution functions for the statistics, on numpy alone: scoreboards are read where scipy may be absent."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STANDARD_NORMAL = NormalDist()
# Beyond this many degrees of freedom the normal quantile with its first two corrections is exact to 1e-10.
_LARGE_DEGREES = 2_000


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = probability."""
    return _STANDARD_NORMAL.inv_cdf(probability)


def normal_cdf(z: float) -> float:
    """P(Z <= z)."""
    return _STANDARD_NORMAL.cdf(z)


def two_sided_z(confidence: float) -> float:
    """1.96 for 0.95: the z that leaves (1 - confidence) / 2 in each tail."""
    return normal_quantile(0.5 + confidence / 2)


@cache
def student_t_quantile(probability: float, degrees: int) -> float:
    """The t with P(T <= t) = probability >= 0.5, for whole degrees of freedom.

    Bisection on the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4; for many degrees the expansion 26.7.5.
    """
    z = normal_quantile(probability)
    if degrees > _LARGE_DEGREES:
        return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    low, high = 0.0, 1.0
    while _student_t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if _student_t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def log_factorials(largest: int) -> NDArray[np.float64]:
    """log(k!) for k = 0 ... largest."""
    import numpy as np

    logs = np.zeros(largest + 1)
    logs[1:] = np.cumsum(np.log(np.arange(1, largest + 1)))
    return logs


def binomial_pmf(counts: NDArray[np.int64], trials: NDArray[np.int64] | int, probability: float) -> NDArray[np.float64]:
    """P(X = count) for X ~ Binomial(trials, probability), broadcast; 0 where count > trials."""
    import numpy as np

    sizes = np.asarray(trials)
    logs = log_factorials(int(sizes.max()))
    rest = sizes - counts
    possible = (rest >= 0) & (counts >= 0)
    kept, left = np.where(possible, counts, 0), np.where(possible, rest, 0)
    choices = logs[sizes] - logs[kept] - logs[left]
    exponent = choices + _times_log(kept, probability) + _times_log(left, 1 - probability)
    return np.exp(np.where(possible, exponent, -np.inf))


def _times_log(counts: NDArray[np.int64], probability: float) -> NDArray[np.float64]:
    """count * log(probability), with 0 * log(0) = 0."""
    import numpy as np

    if probability > 0:
        return np.multiply(counts, math.log(probability), dtype=np.float64)
    return np.where(counts > 0, -np.inf, 0.0)


def _student_t_cdf(t: float, degrees: int) -> float:
    """P(T <= t) for t >= 0."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    odd = degrees % 2 == 1
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range((degrees - 1) // 2 if odd else degrees // 2):
        total += term
        term *= cosine_squared * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return 0.5 + within / 2
