"""Rows that come in groups (documents, conversations, users): what they say is less than so many independent rows do.

Clustered standard errors with Student's t over the groups, as Miller, "Adding Error Bars to Evals" (2024); a share of
right answers by Wilson's interval of the effective number of rows (Korn and Graubard 1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.measure.distributions import student_t_quantile, two_sided_z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PRIOR_CORRELATION = 0.5
"""Supposed correlation within groups, as strong as one group's word: what decides where all answers are alike."""


def group_numbers(groups: Sequence[str] | None, count: int) -> NDArray[np.int64] | None:
    """Each row's group as a number from 0; None where no rows belong together."""
    import numpy as np

    if groups is None:
        return None
    _, numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return numbers.astype(np.int64) if numbers.max() + 1 < count else None


def group_sums(values: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the values of each group: [groups]."""
    import numpy as np

    return np.bincount(numbers, weights=values, minlength=int(numbers.max()) + 1).astype(np.float64)


def group_sizes(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many rows each group has: [groups]."""
    import numpy as np

    return np.bincount(numbers).astype(np.float64)


def standard_error(values: NDArray[np.float64], numbers: NDArray[np.int64]) -> float:
    """The clustered standard error of the mean (CR1): groups vary, not rows. Infinite for a single group."""
    count = int(numbers.max()) + 1
    if count < 2:
        return math.inf
    residuals = group_sums(values - values.mean(), numbers)
    return math.sqrt(count / (count - 1) * float((residuals**2).sum())) / len(values)


def degrees_of_freedom(numbers: NDArray[np.int64]) -> int:
    """Groups less one, fewer where some are much larger than the others (their share decides): at least 1."""
    sizes = group_sizes(numbers)
    effective = float(sizes.sum() ** 2 / (sizes**2).sum())
    return max(1, math.floor(effective + 1e-9) - 1)


def effective_rows(right: NDArray[np.float64], numbers: NDArray[np.int64], confidence: float) -> float:
    """How many independent rows say as much of the share of right answers; never more than there are."""
    n, share = len(right), float(right.mean())
    sizes = group_sizes(numbers)
    alike = 1 + (float((sizes**2).sum()) / n - 1) * _PRIOR_CORRELATION
    independent = share * (1 - share) / n
    count = len(sizes)
    # The estimate from few groups is itself unsure: it is drawn towards what one more group would say a priori.
    error = standard_error(right, numbers)
    estimated = error**2 / independent if independent > 0 and count > 1 else alike
    weight = count * min(1.0, 4 * n * share * (1 - share) / count)
    effect = max(1.0, (weight * estimated + alike) / (weight + 1))
    degrees = degrees_of_freedom(numbers)
    shrink = (two_sided_z(confidence) / student_t_quantile(0.5 + confidence / 2, degrees)) ** 2
    return max(1.0, n / effect * shrink)


def half_width(values: NDArray[np.float64], numbers: NDArray[np.int64], confidence: float) -> float:
    """Half of the interval of the mean: t over the groups times the clustered standard error."""
    error = standard_error(values, numbers)
    if math.isinf(error):
        return error
    return student_t_quantile(0.5 + confidence / 2, degrees_of_freedom(numbers)) * error


def design_effect(values: NDArray[np.float64], numbers: NDArray[np.int64]) -> float:
    """How many times the variance of the mean is that of independent values; at least 1, n for a single group."""
    n, variance = len(values), float(values.var(ddof=1)) if len(values) > 1 else 0.0
    if int(numbers.max()) == 0:
        return float(n)
    return max(1.0, standard_error(values, numbers) ** 2 / (variance / n)) if variance > 0 else 1.0
