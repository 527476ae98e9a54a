"""Row lengths as bars of text, for the command line and the Data screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import count

BAR_WIDTH = 30


def histogram_lines(
    bins: Sequence[Mapping[str, Any]], max_length: int | None, marks: Glyphs, width: int = BAR_WIDTH
) -> list[str]:
    """A line a bin: its range in tokens, a bar, its rows; and which bins lie beyond `max_length`."""
    most = max((each["rows"] for each in bins), default=0)
    labels = [f"{count(each['low'])} to {count(each['high'])}" for each in bins]
    label_width = max(map(len, labels), default=0)
    lines = []
    for each, label in zip(bins, labels, strict=True):
        # A bin with any row shows at least one mark.
        filled = max(1, round(each["rows"] / most * width)) if each["rows"] else 0
        line = f"{label:>{label_width}}  {marks.bar_full * filled:<{width}} {count(each['rows'])}"
        if max_length is not None and each["high"] > max_length:
            line += "  too long" if each["low"] > max_length else f"  max_length {count(max_length)}"
        lines.append(line)
    return lines
