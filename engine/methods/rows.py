"""Which rows a batch held, for the message when a loss is not a number."""

from collections.abc import Sequence
from typing import Any


class RowRecorder:
    """A collator that remembers the lines of the batches it made last, and passes on only the named fields."""

    def __init__(self, collator: Any, fields: Sequence[str], batches: int = 8) -> None:
        self._collator = collator
        self._fields = fields
        self._batches = batches
        self.recent: list[list[int]] = []

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        self.recent.append([row["line"] for row in rows if "line" in row])
        del self.recent[: -self._batches]
        return self._collator([{name: row[name] for name in self._fields if name in row} for row in rows])
