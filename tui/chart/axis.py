"""The text around a chart: value labels at the left, steps below, and the legend or the cursor's values above."""

import math
from bisect import bisect_left
from collections.abc import Sequence

from rung.tui.chart.picture import Frame, cell_of
from rung.tui.chart.scale import Scale, nice, short
from rung.tui.chart.series import Line, Series

GUTTER = 8
ROWS_PER_LABEL = 3

_SAMPLES: dict[str, dict[Line, str]] = {
    "braille": {"solid": "⠤⠤", "dashed": "⠤ ⠤", "dotted": "⠄⠄⠄", "points": "⡂⢐"},
    "block": {"solid": "▄▄", "dashed": "▄ ▄", "dotted": "▖▖▖", "points": "▖▝"},
}


def value_labels(scale: Scale, height: int, mode: str) -> list[str]:
    """The gutter of each row: round values on the rows nearest to them, and the axis line."""
    line = "|" if mode == "ascii" else "│"
    tick = "+" if mode == "ascii" else "┤"
    rows = [" " * (GUTTER - 1) + line] * height
    for value in scale.ticks(max(1, height // ROWS_PER_LABEL)):
        row = round((scale.high - value) / (scale.high - scale.low) * (height - 1))
        if 0 <= row < height:
            rows[row] = f"{scale.label(value):>{GUTTER - 1}}{tick}"
    return rows


def step_labels(frame: Frame) -> str:
    """The line below: round steps at even distances."""
    cells = [" "] * (GUTTER + frame.width)
    apart = max(1.0, nice((frame.right - frame.left) / max(1, min(8, frame.width // 14))))
    step = math.ceil(frame.left / apart) * apart
    while step <= frame.right:
        text = f"{round(step):,}"
        start = GUTTER + cell_of(step, frame) - len(text) // 2
        start = max(0, min(start, len(cells) - len(text)))
        cells[start : start + len(text)] = text
        step += apart
    return "".join(cells)


def legend(series: Sequence[Series], mode: str, cursor: float | None) -> list[tuple[str, int | None]]:
    """Pieces of text with the series that colours them: how each is drawn, and its value at the cursor or newest."""
    pieces: list[tuple[str, int | None]] = []
    if cursor is not None:
        pieces.append((f"step {round(cursor):,}   ", None))
    for index, each in enumerate(series):
        pieces.append((f"{sample(each, mode)} {each.label} ", index))
        pieces.append((f"{_shown(value_at(each, cursor))}   ", None))
    return pieces


def sample(series: Series, mode: str) -> str:
    """How the series looks, in two or three characters."""
    drawn = _SAMPLES[mode][series.line] if mode in _SAMPLES else series.mark * 2
    return f"{drawn[0]}{series.mark}{drawn[-1]}" if series.marked and mode in _SAMPLES else drawn


def value_at(series: Series, cursor: float | None) -> float | None:
    """The value at the point nearest to the cursor, or the newest one."""
    count = series.count
    if not count:
        return None
    if cursor is None:
        return series.values[count - 1]
    at = bisect_left(series.steps, cursor, 0, count)
    nearest = min((i for i in (at - 1, at) if 0 <= i < count), key=lambda i: abs(series.steps[i] - cursor))
    return series.values[nearest]


def _shown(value: float | None) -> str:
    return "–" if value is None or value != value else short(value)
