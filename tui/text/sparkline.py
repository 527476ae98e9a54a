"""A curve in one line of text, without numpy: for tables and small figures."""

from collections.abc import Sequence

from rung.tui.text.glyphs import Glyphs

READ_PER_CELL = 8


def sparkline(values: Sequence[float], width: int, marks: Glyphs) -> str:
    """The curve in at most `width` characters; of a long one some points a cell are read, so the cost is bounded."""
    points = _thinned(values, width)
    if not points:
        return ""
    low, high = min(points), max(points)
    top = len(marks.spark) - 1
    spread = high - low
    return "".join(marks.spark[round((value - low) / spread * top) if spread else 0] for value in points)


def _thinned(values: Sequence[float], width: int) -> list[float]:
    total = len(values)
    cells = min(width, total)
    points = []
    for cell in range(cells):
        start, end = cell * total // cells, (cell + 1) * total // cells
        stride = max(1, (end - start) // READ_PER_CELL)
        finite = [values[at] for at in range(start, end, stride) if values[at] == values[at]]
        if finite:
            points.append(sum(finite) / len(finite))
    return [point for point in points if abs(point) != float("inf")]
