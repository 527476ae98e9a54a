"""Bootstrap: resampled means of many samples at once, and the bias-corrected and accelerated (BCa) interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rung.engine.stats.distributions import normal_cdf, normal_quantile, two_sided_z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 9_999
_MOST_DRAWS = 20_000_000
_DRAWS_AT_ONCE = 2_000_000


def bca_intervals(
    samples: NDArray[np.float64], confidence: float, seed: int, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """BCa intervals of the mean of each row of `samples` [rows, n]: low ends and high ends, each [rows].

    All rows share their resamples, which is what makes simulations of thousands of trials cheap.
    """
    import numpy as np

    rows, n = samples.shape
    total = affordable(resamples, n)
    replicates = np.empty((rows, total))
    done = 0
    for weights in resample_weights(n, total, np.random.default_rng(seed)):
        replicates[:, done : done + len(weights)] = samples @ weights.T / n
        done += len(weights)
    means = samples.mean(axis=1)
    # The jackknife mean without value i is (sum - x_i) / (n - 1).
    jackknife = (samples.sum(axis=1, keepdims=True) - samples) / max(n - 1, 1)
    ends = [bca_interval(means[row], replicates[row], jackknife[row], confidence) for row in range(rows)]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def bca_interval(
    observed: float, replicates: NDArray[np.float64], jackknife: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """The BCa interval of any statistic (Efron 1987) from its bootstrap replicates and its leave-one-out values.

    Where all replicates are equal the interval is the observed value.
    """
    import numpy as np

    ordered = np.sort(replicates)
    spread = float(ordered[-1] - ordered[0])
    if spread <= 1e-12 * max(1.0, abs(observed)):
        return float(observed), float(observed)
    # Sums of the same values in another order differ in the last bits; such ties count as half below.
    tie = 1e-9 * spread
    below = np.searchsorted(ordered, observed - tie, side="left")
    tied = np.searchsorted(ordered, observed + tie, side="right") - below
    share = (below + tied / 2) / len(ordered)
    bias = normal_quantile(min(max(share, 1 / (len(ordered) + 1)), len(ordered) / (len(ordered) + 1)))
    centred = jackknife.mean() - jackknife
    squares = float((centred**2).sum())
    acceleration = float((centred**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    z = two_sided_z(confidence)
    low, high = np.quantile(ordered, [_adjusted(bias, acceleration, -z), _adjusted(bias, acceleration, z)])
    return float(low), float(high)


def resample_weights(n: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each of n examples was drawn, in blocks [some resamples, n]; every row sums to n."""
    import numpy as np

    at_once = max(1, min(resamples, _DRAWS_AT_ONCE // n))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = generator.integers(0, n, (count, n)) + np.arange(count)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def affordable(resamples: int, n: int) -> int:
    """Fewer resamples where there are many examples, so that no interval takes more than a second or two."""
    return max(999, min(resamples, _MOST_DRAWS // n))


def _adjusted(bias: float, acceleration: float, z: float) -> float:
    return normal_cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
