"""Sign-flip permutation test of paired differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rung.engine.stats.bootstrap import affordable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLIPS = 9_999
# Up to here every way to flip the signs is tried (16,384 of them).
MOST_EXACT = 14
_SIGNS_AT_ONCE = 2_000_000


def sign_flip_p_values(differences: NDArray[np.float64], seed: int = 0, flips: int = FLIPS) -> NDArray[np.float64]:
    """Two-sided p of "no difference in the mean" for each row of paired differences [rows, n].

    If neither candidate is better, each example's difference might as well have had the other sign (Fisher 1935).
    Exact for n <= 14; beyond, the share among random flips, the observed one counted in, which keeps the false alarm
    rate at most alpha (Phipson and Smyth 2010). All rows share the flips.
    """
    import numpy as np

    rows, n = differences.shape
    observed = np.abs(differences.sum(axis=1))
    # Sums of the same numbers in another order differ in the last bits: equal must count as at least as large.
    threshold = observed - 1e-9 * np.abs(differences).sum(axis=1)
    exact = n <= MOST_EXACT
    total: int = 2**n if exact else affordable(flips, n)
    generator = np.random.default_rng(seed)
    at_least = np.zeros(rows)
    at_once = max(1, _SIGNS_AT_ONCE // n)
    for start in range(0, total, at_once):
        count = min(at_once, total - start)
        numbers = np.arange(start, start + count)
        signs = _signs_of(numbers, n) if exact else 2.0 * generator.integers(0, 2, (count, n), dtype=np.int8) - 1
        at_least += (np.abs(differences @ signs.T) >= threshold[:, None]).sum(axis=1)
    return at_least / total if exact else (at_least + 1) / (total + 1)


def _signs_of(numbers: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """The binary digits of each number as -1 and 1: [numbers, n]."""
    import numpy as np

    digits = (numbers[:, None] >> np.arange(n)) & 1
    return digits.astype(np.float64) * 2 - 1
