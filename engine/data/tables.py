"""Rows of CSV and TSV files, whatever the cells are divided by."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from rung.engine.core.errors import EngineError

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 50
_MOST_ALIKE = 0.9

Cells = dict[str, str | None]


def table_rows(content: str, usual: str, source: str) -> Iterator[tuple[int, Cells | str]]:
    """Each row's first line, from 1, and its cells by column; or why it can't be read. `usual` divides cells, mostly.

    Raises EngineError where two columns have one name.
    """
    header: list[str] = []
    for line, cells in _records(content, delimiter_of(content, usual)):
        if isinstance(cells, str):
            yield line, f"not a readable row: {cells}"
        elif not header:
            header = _named(cells, source, line)
        elif len(cells) > len(header):
            yield line, "more cells than the header has columns"
        else:
            missing: list[str | None] = [None] * (len(header) - len(cells))
            yield line, dict(zip(header, [*cells, *missing], strict=True))


def delimiter_of(content: str, usual: str) -> str:
    """What divides the cells: the usual one unless it divides nothing and another divides every row alike."""
    counts = {
        delimiter: [
            len(cells) for _, cells in islice(_records(content, delimiter), _LOOKED_AT) if isinstance(cells, list)
        ]
        for delimiter in (usual, *(each for each in _DELIMITERS if each != usual))
    }
    if not counts[usual] or counts[usual][0] > 1 and _alike(counts[usual]) > 1 - _MOST_ALIKE:
        return usual
    others = [each for each in counts if counts[each] and counts[each][0] > 1 and _alike(counts[each]) >= _MOST_ALIKE]
    return max(others, key=lambda each: counts[each][0], default=usual)


def _alike(lengths: list[int]) -> float:
    """The share of the rows that have as many cells as the header."""
    return sum(length == lengths[0] for length in lengths[1:]) / max(1, len(lengths) - 1) if lengths[1:] else 1.0


def _records(content: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each record's first line and cells, or the reason why it has none; empty lines are none."""
    # A cell may hold a whole document; Python's own limit is 131,072 characters.
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, str(error)
            continue
        if cells is None:
            return
        if cells:
            yield line, cells


def _named(header: list[str], source: str, line: int) -> list[str]:
    """The columns' names; one without a name, as pandas leaves its row numbers, is called by its place."""
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise EngineError(f"{source} has two columns called {twice[0]!r}", f"line {line}", "give each its own name")
    return names
