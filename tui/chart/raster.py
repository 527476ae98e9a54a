"""From columns of minima and maxima to dots, and from dots to characters: braille, quadrant blocks, or ASCII marks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rung.tui.chart.scale import SMALLEST, Scale
from rung.tui.chart.series import Line, Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = NDArray[np.uint32]


@dataclass(frozen=True)
class Mode:
    """How a cell is divided into dots, and which bit each dot sets in the cell's code."""

    name: str
    columns: int
    rows: int
    bits: tuple[tuple[int, ...], ...]
    # The character of each code; empty: braille's own order from U+2800.
    characters: str = ""


BRAILLE = Mode("braille", 2, 4, ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)))
BLOCK = Mode("block", 2, 2, ((1, 2), (4, 8)), " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█")
ASCII = Mode("ascii", 1, 1, ((1,),))
MODES = {mode.name: mode for mode in (BRAILLE, BLOCK, ASCII)}

# Which dot columns of a period are drawn.
_PATTERNS: dict[Line, tuple[int, ...]] = {"dashed": (1, 1, 1, 1, 0, 0), "dotted": (1, 0, 0, 0)}


@dataclass(frozen=True)
class Columns:
    """One series reduced to dot columns, and the points just outside the window, in column units, for lines to them.

    NaN in `low` and `high` where a column has no number; `empty` where it has not even a point.
    """

    low: "Floats"
    high: "Floats"
    empty: "NDArray[np.bool_]"
    before: tuple[float, float] | None
    after: tuple[float, float] | None


def draw(series: Series, columns: Columns, scale: Scale, mode: Mode, height: int) -> "Cells":
    """The series' characters as code points, `height` × width cells, 0 where it draws nothing."""
    import numpy as np

    rows = height * mode.rows
    top, bottom = _spans(columns, scale, rows, join=series.line != "points")
    row = np.arange(rows)[:, None]
    dots = (row >= top) & (row <= bottom)
    pattern = _PATTERNS.get(series.line)
    if pattern is not None:
        dots &= np.resize(np.array(pattern, dtype=bool), dots.shape[1])
    codes = np.zeros((height, dots.shape[1] // mode.columns), dtype=np.uint8)
    for dot_row, bits in enumerate(mode.bits):
        for dot_column, bit in enumerate(bits):
            codes |= dots[dot_row :: mode.rows, dot_column :: mode.columns] * np.uint8(bit)
    if mode.name == "ascii":
        table = np.array([0, ord(series.mark)], dtype=np.uint32)
    elif mode.characters:
        table = np.array([0, *map(ord, mode.characters[1:])], dtype=np.uint32)
    else:
        table = np.array([0, *range(0x2801, 0x2900)], dtype=np.uint32)
    cells: Cells = table[codes]
    return cells


def drawn(values: "Floats", log: bool) -> "Floats":
    """Values in the unit of the axis; what has no logarithm becomes a gap."""
    import numpy as np

    if not log:
        return values
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithms: Floats = np.log10(np.where(values > SMALLEST, values, np.nan))
    return logarithms


def _spans(columns: Columns, scale: Scale, rows: int, join: bool) -> tuple["NDArray[np.intp]", "NDArray[np.intp]"]:
    """First and last dot row of each column; `rows` and -1 where nothing is drawn."""
    import numpy as np

    unit = (rows - 1) / (scale.high - scale.low)
    top = (scale.high - drawn(columns.high, scale.log)) * unit
    bottom = (scale.high - drawn(columns.low, scale.log)) * unit
    if join:
        _bridge(columns, scale, unit, top, bottom)
    with np.errstate(invalid="ignore"):
        there = ~np.isnan(top)
        first = np.where(there, np.rint(np.clip(top, 0, rows - 1)), rows).astype(np.intp)
        last = np.where(there, np.rint(np.clip(bottom, 0, rows - 1)), -1).astype(np.intp)
    if join:
        both = there[1:] & there[:-1]
        touched_first = np.where(both, np.minimum(first[1:], last[:-1] + 1), first[1:])
        touched_last = np.where(both, np.maximum(last[1:], first[:-1] - 1), last[1:])
        first[1:], last[1:] = touched_first, touched_last
    return first, last


def _bridge(columns: Columns, scale: Scale, unit: float, top: "Floats", bottom: "Floats") -> None:
    """Fill columns that hold no point with the straight line between their neighbours, but not across a NaN."""
    import numpy as np

    filled = np.flatnonzero(~columns.empty)
    xs = [*filled.astype(float)]
    ys = [*((top[filled] + bottom[filled]) / 2)]
    for outside, at_left in ((columns.before, True), (columns.after, False)):
        if outside is not None:
            y = float(drawn(np.array([outside[1]]), scale.log)[0])
            xs.insert(0 if at_left else len(xs), outside[0])
            ys.insert(0 if at_left else len(ys), (scale.high - y) * unit)
    holes = np.flatnonzero(columns.empty)
    if len(xs) > 1 and len(holes):
        top[holes] = bottom[holes] = np.interp(holes, xs, ys, left=np.nan, right=np.nan)
