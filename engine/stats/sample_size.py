"""Planning by true rates: how many examples give a test the wanted power. Sums over exact distributions up to 5,000."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rung.engine.stats.distributions import binomial_pmf, log_factorials, normal_quantile, two_sided_z
from rung.engine.stats.paired_proportions import tango_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POWER = 0.80
# More than anybody scores; a question that needs more is as good as unanswerable.
MOST_EXAMPLES = 1_000_000
# Beyond this size the normal approximation is as good as the exact sum, and much cheaper.
_MOST_EXACT = 5_000


def mcnemar_examples(a_only: float, b_only: float, power: float = POWER, confidence: float = 0.95) -> int | None:
    """How many examples the exact McNemar test needs, given the shares that only a, and only b, gets right."""
    if a_only == b_only:
        return None
    start = _only(mcnemar_approximate, a_only, b_only, power, confidence)
    return _smallest(lambda n: _mcnemar_power(n, a_only, b_only, 1 - confidence), power, start)


def non_inferiority_examples(
    a_only: float, b_only: float, margin: float, power: float = POWER, confidence: float = 0.95
) -> int | None:
    """How many examples put Tango's interval of a - b above -margin, for these shares of discordant examples."""
    if a_only - b_only + margin <= 0:
        return None
    z = two_sided_z(confidence)
    start = _only(non_inferiority_approximate, a_only, b_only, margin, power, confidence)
    return _smallest(lambda n: _non_inferiority_power(n, a_only, b_only, margin, z), power, start)


def target_examples(rate: float, target: float, power: float = POWER, confidence: float = 0.95) -> int | None:
    """How many examples put Wilson's interval of a true `rate` wholly on its side of the target."""
    if rate == target:
        return None
    z = two_sided_z(confidence)
    start = _only(target_approximate, rate, target, power, confidence)
    return _smallest(lambda n: _target_power(n, rate, target, z), power, start)


def mean_examples(gap: float, deviation: float, power: float = POWER, confidence: float = 0.95) -> int | None:
    """How many examples tell a mean that lies `gap` away from a threshold, at this standard deviation."""
    needed = _only(mean_approximate, gap, deviation, power, confidence)
    return math.ceil(needed) if needed <= MOST_EXAMPLES else None


def mcnemar_approximate(
    a_only: NDArray[np.float64], b_only: NDArray[np.float64], power: float = POWER, confidence: float = 0.95
) -> NDArray[np.float64]:
    """`mcnemar_examples` by the normal approximation (Connor 1987), of many shares at once; inf where it is None."""
    import numpy as np

    gap, discordant = np.abs(a_only - b_only), a_only + b_only
    root = two_sided_z(confidence) * np.sqrt(discordant)
    root = root + normal_quantile(power) * np.sqrt(np.maximum(discordant - gap * gap, 0.0))
    return _squared_ratio(root, gap)


def non_inferiority_approximate(
    a_only: NDArray[np.float64],
    b_only: NDArray[np.float64],
    margin: float,
    power: float = POWER,
    confidence: float = 0.95,
) -> NDArray[np.float64]:
    """`non_inferiority_examples` by the normal approximation, of many shares at once; inf where it is None."""
    import numpy as np

    z_alpha, z_beta = two_sided_z(confidence), normal_quantile(power)
    variance = np.maximum(a_only + b_only - (a_only - b_only) ** 2, 0.0)
    needed = _squared_ratio((z_alpha + z_beta) * np.sqrt(variance), np.maximum(a_only - b_only + margin, 0.0))
    # Without discordant examples the interval still reaches down to -z² / (n + z²).
    fewest = z_alpha**2 * (1 - margin) / margin if margin > 0 else 0.0
    return np.maximum(needed, fewest)


def target_approximate(
    rates: NDArray[np.float64], target: float, power: float = POWER, confidence: float = 0.95
) -> NDArray[np.float64]:
    """`target_examples` by the normal approximation, of many rates at once; inf where it is None."""
    import numpy as np

    root = two_sided_z(confidence) * math.sqrt(max(target * (1 - target), 0.0))
    return _squared_ratio(root + normal_quantile(power) * np.sqrt(rates * (1 - rates)), np.abs(rates - target))


def mean_approximate(
    gaps: NDArray[np.float64], deviation: float, power: float = POWER, confidence: float = 0.95
) -> NDArray[np.float64]:
    """`mean_examples` of many gaps at once, not rounded; inf where it is None."""
    z_alpha, z_beta = two_sided_z(confidence), normal_quantile(power)
    # The last term is Guenther's correction for estimating the deviation (1981).
    return _squared_ratio((z_alpha + z_beta) * deviation + 0 * gaps, abs(gaps)) + z_alpha**2 / 2


def _squared_ratio(root: NDArray[np.float64], gap: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    reached = gap > 0
    return np.where(reached, (root / np.where(reached, gap, 1.0)) ** 2, np.inf)


def _only(approximate: Callable[..., NDArray[np.float64]], *values: float) -> float:
    """One number from a function of many at once."""
    import numpy as np

    return float(approximate(*(np.float64(value) for value in values)))


def _smallest(power_at: Callable[[int], float], power: float, approximate: float) -> int | None:
    """The smallest size found with enough power, by doubling and bisection around the normal approximation."""
    if approximate > MOST_EXAMPLES:
        return None
    if approximate > _MOST_EXACT:
        return math.ceil(approximate * 1.01)
    enough = max(2, math.ceil(approximate))
    while power_at(enough) < power:
        enough = math.ceil(enough * 1.25)
    too_few = 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if power_at(middle) >= power:
            enough = middle
        else:
            too_few = middle
    return enough


def _mcnemar_power(n: int, a_only: float, b_only: float, alpha: float) -> float:
    """Chance that the exact test finds the difference, summed over how many of n examples turn out discordant."""
    import numpy as np

    discordant = _likely_counts(n, a_only + b_only)
    counts = np.arange(discordant[-1] // 2 + 1)
    null_tail = binomial_pmf(counts[None, :], discordant[:, None], 0.5).cumsum(axis=1)
    weaker_share = min(a_only, b_only) / (a_only + b_only)
    chance = binomial_pmf(counts[None, :], discordant[:, None], weaker_share)
    rejected = (2 * null_tail <= alpha) & (counts[None, :] <= discordant[:, None] // 2)
    return float(binomial_pmf(discordant, n, a_only + b_only) @ (chance * rejected).sum(axis=1))


def _non_inferiority_power(n: int, a_only: float, b_only: float, margin: float, z: float) -> float:
    """Chance that the score test rejects "worse by margin", summed over the likely numbers of discordant examples."""
    import numpy as np

    a, b = _likely_counts(n, a_only)[:, None], _likely_counts(n, b_only)[None, :]
    possible = a + b <= n
    logs = log_factorials(n)
    rest = np.where(possible, n - a - b, 0)
    exponent = logs[n] - logs[a] - logs[b] - logs[rest]
    for counts, share in ((a, a_only), (b, b_only), (rest, max(1 - a_only - b_only, 0.0))):
        exponent = exponent + (counts * math.log(share) if share > 0 else np.where(counts > 0, -np.inf, 0.0))
    shown = tango_score(a.astype(float), b.astype(float), n, -margin) > z
    return float(np.where(possible & shown, np.exp(exponent), 0.0).sum())


def _target_power(n: int, rate: float, target: float, z: float) -> float:
    """Chance that Wilson's interval lies wholly beyond the target: that the score test rejects it."""
    import numpy as np

    counts = np.arange(n + 1)
    distance = (counts - n * target) * (1 if rate > target else -1)
    shown = distance > z * math.sqrt(max(n * target * (1 - target), 0.0))
    return float((binomial_pmf(counts, n, rate) * shown).sum())


def _likely_counts(n: int, share: float) -> NDArray[np.int64]:
    """The counts out of n within 8 standard deviations (and a few more, for rare events)."""
    import numpy as np

    reach = 8 * math.sqrt(n * share * (1 - share)) + (8 if share > 0 else 0)
    return np.arange(max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach)) + 1)
