"""One frame of a chart: which character stands in which cell, and whose it is."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rung.tui.chart.pyramid import MinMaxPyramid
from rung.tui.chart.raster import Columns, Mode, draw
from rung.tui.chart.scale import Scale, scale_over
from rung.tui.chart.series import Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOBODY = -1
CURSOR = 100
SPACE = 32


@dataclass(frozen=True)
class Frame:
    """What to draw: steps `left` to `right` over `width` × `height` cells."""

    width: int
    height: int
    left: float
    right: float
    log: bool
    mode: Mode
    cursor: float | None = None


@dataclass(frozen=True)
class Picture:
    """Code points and owners (an index into the series, NOBODY or CURSOR) of each cell, and the vertical scale."""

    characters: "NDArray[np.uint32]"
    owners: "NDArray[np.int8]"
    scale: Scale


def paint(series: Sequence[Series], pyramids: dict[str, MinMaxPyramid], frame: Frame) -> Picture:
    """The frame's picture. Later series lie over earlier ones; `pyramids` are kept by the caller, by series key."""
    import numpy as np

    reduced = [_reduced(each, pyramids[each.key], frame) for each in series]
    scale = scale_over(*_extremes(reduced, frame.log), frame.log)
    characters = np.full((frame.height, frame.width), SPACE, dtype=np.uint32)
    owners = np.full((frame.height, frame.width), NOBODY, dtype=np.int8)
    for index, (each, columns) in enumerate(zip(series, reduced, strict=True)):
        cells = draw(each, columns, scale, frame.mode, frame.height)
        mine = cells > 0
        characters[mine] = cells[mine]
        owners[mine] = index
    for index, each in enumerate(series):
        if each.marked:
            _mark_points(each, index, frame, scale, characters, owners)
    if frame.cursor is not None:
        _draw_cursor(frame, frame.cursor, characters, owners)
    return Picture(characters, owners, scale)


def _reduced(series: Series, pyramid: MinMaxPyramid, frame: Frame) -> Columns:
    import numpy as np

    steps, values = np.frombuffer(series.steps)[: series.count], np.frombuffer(series.values)[: series.count]
    pyramid.extend(values)
    columns = frame.width * frame.mode.columns
    # A point belongs to the column whose middle is nearest, so that the first and the last step get half a column.
    half = (frame.right - frame.left) / max(1, columns - 1) / 2
    edges = np.linspace(frame.left - half, frame.right + half, columns + 1)
    cuts = np.maximum.accumulate(np.searchsorted(steps, edges))
    low, high, counts = pyramid.columns(values, cuts)
    before = _outside(steps, values, int(cuts[0]) - 1, frame)
    return Columns(low, high, counts == 0, before, _outside(steps, values, int(cuts[-1]), frame))


def _outside(steps: "Floats", values: "Floats", at: int, frame: Frame) -> tuple[float, float] | None:
    if not 0 <= at < len(steps):
        return None
    columns = frame.width * frame.mode.columns
    column = (float(steps[at]) - frame.left) / (frame.right - frame.left) * (columns - 1)
    return column, float(values[at])


def _extremes(reduced: Sequence[Columns], log: bool) -> tuple[float, float]:
    import numpy as np

    lows = [each.low[np.isfinite(each.low) & ((each.low > 0) | (not log))] for each in reduced]
    highs = [each.high[np.isfinite(each.high) & ((each.high > 0) | (not log))] for each in reduced]
    low = min((float(each.min()) for each in lows if len(each)), default=float("inf"))
    high = max((float(each.max()) for each in highs if len(each)), default=float("-inf"))
    if high < low:
        # Lines between points outside the window, or nothing at all.
        outside = [point[1] for each in reduced for point in (each.before, each.after) if point is not None]
        finite = [value for value in outside if value == value and (value > 0 or not log)]
        return (min(finite), max(finite)) if finite else (0.1, 1.0)
    return low, high


def cell_of(step: float, frame: Frame) -> int:
    """The cell column in which a step lies; may be outside the frame."""
    columns = frame.width * frame.mode.columns
    dot = round((step - frame.left) / (frame.right - frame.left) * (columns - 1))
    return dot // frame.mode.columns


def _mark_points(
    series: Series, index: int, frame: Frame, scale: Scale, characters: "NDArray[np.uint32]", owners: "NDArray[np.int8]"
) -> None:
    """The series' mark at each of its points, where they are few enough to be told apart."""
    import math

    start = bisect_left(series.steps, frame.left, 0, series.count)
    end = bisect_left(series.steps, frame.right + 1e-9, 0, series.count)
    if end - start > frame.width // 2:
        return
    for step, value in zip(series.steps[start:end], series.values[start:end], strict=True):
        if value != value or (scale.log and value <= 0):
            continue
        y = math.log10(value) if scale.log else value
        dots = frame.height * frame.mode.rows
        row = round((scale.high - y) / (scale.high - scale.low) * (dots - 1)) // frame.mode.rows
        column = cell_of(step, frame)
        if 0 <= row < frame.height and 0 <= column < frame.width:
            characters[row, column] = ord(series.mark)
            owners[row, column] = index


def _draw_cursor(frame: Frame, cursor: float, characters: "NDArray[np.uint32]", owners: "NDArray[np.int8]") -> None:
    column = cell_of(cursor, frame)
    if 0 <= column < frame.width:
        free = owners[:, column] == NOBODY
        characters[free, column] = ord("|" if frame.mode.name == "ascii" else "│")
        owners[free, column] = CURSOR
