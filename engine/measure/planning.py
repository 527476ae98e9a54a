"""How far the scores at hand leave open what it takes to settle a question: numbers of examples over resamples of them.

Each resample is a truth that may be behind these scores; the number it asks for follows from the normal approximation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.measure.clustered import group_sizes, group_sums
from engine.measure.distributions import normal_quantile, two_sided_z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 400


def needed_to_settle(
    differences: NDArray[np.float64],
    numbers: NDArray[np.int64] | None,
    margin: float,
    power: float,
    confidence: float,
    alpha: float,
) -> NDArray[np.float64]:
    """Examples (or groups) that each of 400 resamples asks for to show "worse" or "at most margin worse": [400].

    Infinite where the resample lies right between both.
    """
    import numpy as np

    means, variances = _resampled(differences, numbers)
    z_beta = normal_quantile(power)
    z_no_worse, z_worse = two_sided_z(confidence), two_sided_z(1 - alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = np.maximum(means + margin, 0.0)
        no_worse = np.where(gaps > 0, (z_no_worse + z_beta) ** 2 * variances / gaps**2, np.inf)
        lead = np.minimum(means, 0.0)
        worse = np.where(lead < 0, (z_worse + z_beta) ** 2 * variances / lead**2, np.inf)
    # Without any difference the interval still reaches down to -z² / (n + z²).
    least = z_no_worse**2 * (1 - margin) / margin if margin > 0 else np.inf
    no_worse = np.maximum(no_worse, np.where(variances == 0, least, 0.0))
    found: NDArray[np.float64] = np.minimum(no_worse, worse) + z_no_worse**2 / 2
    return found


def needed_for_target(
    scores: NDArray[np.float64], numbers: NDArray[np.int64] | None, target: float, power: float, confidence: float
) -> NDArray[np.float64]:
    """Examples (or groups) that each of 400 resamples asks for to put the interval on one side of the target: [400]."""
    import numpy as np

    means, variances = _resampled(scores, numbers)
    z = two_sided_z(confidence)
    gaps = np.abs(means - target)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(gaps > 0, (z + normal_quantile(power)) ** 2 * variances / gaps**2, np.inf)
        if 0 < target < 1 and numbers is None:
            # Scores that are all alike have no variance; Wilson's interval asks for these at least.
            room = np.where(means >= target, target / (1 - target), (1 - target) / target)
            found = np.maximum(found, z**2 * room)
    return found


def _resampled(
    values: NDArray[np.float64], numbers: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each resample, and the variance of one example (of one group, where there are groups): each [400]."""
    import numpy as np

    generator = np.random.default_rng(0)
    if numbers is None:
        drawn = values[generator.integers(0, len(values), (DRAWS, len(values)))]
        return drawn.mean(axis=1), drawn.var(axis=1, ddof=1 if len(values) > 1 else 0)
    sums, sizes = group_sums(values, numbers), group_sizes(numbers)
    picked = generator.integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    residuals = sums[picked] - means[:, None] * sizes[picked]
    count = len(sums)
    variances = (residuals**2).sum(axis=1) / max(count - 1, 1) / sizes.mean() ** 2
    return means, variances
