"""Two candidates judged right or wrong on the same examples: exact McNemar test and Tango's interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rung.engine.stats.distributions import binomial_pmf, two_sided_z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mcnemar_p(a_only: int, b_only: int) -> float:
    """Exact two-sided p of "neither is right more often", from the examples that only one of them got right."""
    import numpy as np

    discordant = a_only + b_only
    if discordant == 0:
        return 1.0
    tail = float(binomial_pmf(np.arange(min(a_only, b_only) + 1), discordant, 0.5).sum())
    return min(1.0, 2 * tail)


def tango_interval(
    a_only: float, b_only: float, n: float, confidence: float = 0.95, z: float | None = None
) -> tuple[float, float]:
    """The score interval (Tango 1998) of the difference of two paired proportions, (a_only - b_only) / n.

    The differences that the score test would not reject. With no discordant pair at all it is still as wide as n
    examples deserve. `z`, where given, is how many standard errors it reaches, in place of `confidence`.
    """
    import numpy as np

    low, high = tango_intervals(np.array([float(a_only)]), np.array([float(b_only)]), n, confidence, z)
    return float(low[0]), float(high[0])


def tango_intervals(
    a_only: NDArray[np.float64],
    b_only: NDArray[np.float64],
    n: float,
    confidence: float = 0.95,
    z: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`tango_interval` of many pairs of counts at once: low ends and high ends."""
    import numpy as np

    z = two_sided_z(confidence) if z is None else z
    # Both ends at once: [ends, rows].
    outside = np.array([[-1.0], [1.0]]) * np.ones(len(a_only))
    inside = (a_only - b_only) / n + 0 * outside
    # Bisection: the score falls as the supposed difference grows.
    for _ in range(45):
        middle = (outside + inside) / 2
        kept = np.abs(tango_score(a_only, b_only, n, middle)) <= z
        inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
    return inside[0], inside[1]


def tango_score(
    a_only: NDArray[np.float64], b_only: NDArray[np.float64], n: float, difference: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Tango's score statistic for a supposed true difference: standard normal if it is the true one. Broadcasts."""
    import numpy as np

    # The maximum-likelihood share of b_only, given the supposed difference, solves a quadratic equation.
    linear = -a_only - b_only + (2 * n - a_only + b_only) * difference
    constant = -b_only * difference * (1 - difference)
    share = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    # No variance: whatever lies at any distance is impossible.
    distance = np.where(np.abs(a_only - b_only - n * difference) < 1e-9, 0.0, a_only - b_only - n * difference)
    score: NDArray[np.float64] = distance / np.sqrt(np.maximum(variance, 1e-18))
    return score
