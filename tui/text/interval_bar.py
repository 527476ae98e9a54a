"""A score with its 95 % interval, drawn in one line: the same on every screen, and readable without colour."""

from rung.tui.text.glyphs import Glyphs

Scale = tuple[float, float]


def interval_bar(
    score: float,
    low: float,
    high: float,
    width: int,
    marks: Glyphs,
    scale: Scale = (0.0, 1.0),
    target: float | None = None,
) -> str:
    """`├──●──┤` at its place on a scale of `width` cells, and the target as a line through it where there is one."""
    if width < 1:
        return ""
    ascii_only = marks.cut == "~"
    left, right, line, point = ("|", "|", "-", "o") if ascii_only else ("├", "┤", "─", "●")
    cells = [" "] * width
    if target is not None and scale[0] <= target <= scale[1]:
        cells[_cell(target, width, scale)] = marks.bar_mark
    start, end = _cell(low, width, scale), _cell(high, width, scale)
    for at in range(start, end + 1):
        cells[at] = line
    cells[start], cells[end] = left, right
    cells[_cell(score, width, scale)] = point
    return "".join(cells)


def scale_of(values: list[float]) -> Scale:
    """0 to 1 where all values lie there, else the values' own range."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _cell(value: float, width: int, scale: Scale) -> int:
    share = (value - scale[0]) / (scale[1] - scale[0])
    return min(width - 1, max(0, round(share * (width - 1))))
