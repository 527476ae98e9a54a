"""How commands print: JSON and tables on stdout, progress on stderr."""

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rung.tui.text.words import one_line, printable


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not utf8, allow_nan=False), flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned columns on stdout."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Progress:
    """Progress on stderr: in a terminal one live line below the lasting ones, in a pipe lasting lines only."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = ""

    @property
    def live(self) -> bool:
        """Whether a live line can be shown."""
        return self._live

    def line(self, text: str) -> None:
        """A lasting line."""
        self._clear()
        print(printable(text), file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Replace the live line; nothing in a pipe."""
        if not self._live:
            return
        width = shutil.get_terminal_size().columns - 1
        shown = one_line(text, width)
        if shown != self._shown:
            self._clear()
            print(shown, end="", file=sys.stderr, flush=True)
            self._shown = shown

    def close(self) -> None:
        """Take the live line away."""
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr, flush=True)
            self._shown = ""
