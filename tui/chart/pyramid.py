"""Minima and maxima of a growing curve at several block sizes, so that a redraw never reads every point.

Per redraw a curve of a million points costs what one of some thousands does: a column of dots is reduced from the
coarsest blocks that are still a quarter of the column or less. Extremes are never lost; one may show up to a quarter
of a dot column off.
"""

from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCKS = (16, 256, 4096)
BLOCKS_PER_COLUMN = 4


class MinMaxPyramid:
    """Block minima and maxima of one series, extended as the series grows."""

    def __init__(self) -> None:
        self._low: dict[int, array[float]] = {block: array("d") for block in BLOCKS}
        self._high: dict[int, array[float]] = {block: array("d") for block in BLOCKS}

    def extend(self, values: "Floats") -> None:
        """Take in the values that came since the last call. `values` is the whole series."""
        import numpy as np

        low: Floats = values
        high: Floats = values
        finer = 1
        for block in BLOCKS:
            known = len(self._low[block])
            factor = block // finer
            ready = len(low) // factor
            if ready > known:
                shape = (ready - known, factor)
                with np.errstate(all="ignore"):
                    self._low[block].frombytes(
                        np.fmin.reduce(low[known * factor : ready * factor].reshape(shape), axis=1).tobytes()
                    )
                    self._high[block].frombytes(
                        np.fmax.reduce(high[known * factor : ready * factor].reshape(shape), axis=1).tobytes()
                    )
            # Copies of what is small: a view would forbid the arrays to grow.
            low, high, finer = np.array(self._low[block]), np.array(self._high[block]), block

    def columns(self, values: "Floats", cuts: "NDArray[np.intp]") -> tuple["Floats", "Floats", "NDArray[np.intp]"]:
        """Minimum, maximum and number of points between neighbouring `cuts` (indexes into `values`).

        NaN where a column has no finite point. One entry fewer than `cuts`.
        """
        import numpy as np

        counts = np.diff(cuts)
        largest = int(cuts[-1] - cuts[0]) / len(counts) / BLOCKS_PER_COLUMN
        block = max((size for size in BLOCKS if size <= largest and len(self._low[size])), default=1)
        if block == 1:
            return _reduce(np, values, values, cuts, counts)
        low, high = np.frombuffer(self._low[block]), np.frombuffer(self._high[block])
        block_cuts = np.minimum(cuts // block, len(low))
        mins, maxs, _ = _reduce(np, low, high, block_cuts, np.diff(block_cuts))
        # Points after the last full block: the newest ones, which matter most.
        rest = values[len(low) * block : int(cuts[-1])]
        if len(rest) and int(cuts[-1]) > len(low) * block:
            finite = rest[~np.isnan(rest)]
            if len(finite):
                mins[-1], maxs[-1] = np.fmin(mins[-1], finite.min()), np.fmax(maxs[-1], finite.max())
        return mins, maxs, counts


def _reduce(np: Any, low: "Floats", high: "Floats", cuts: Any, counts: Any) -> tuple["Floats", "Floats", Any]:
    size = len(counts)
    mins, maxs = np.full(size, np.nan), np.full(size, np.nan)
    filled = np.flatnonzero(counts)
    if len(filled):
        # reduceat runs from each start to the next one: starts of filled columns only, up to the last cut.
        starts, end = cuts[filled], int(cuts[-1])
        mins[filled] = np.fmin.reduceat(low[:end], starts)
        maxs[filled] = np.fmax.reduceat(high[:end], starts)
    return mins, maxs, counts
