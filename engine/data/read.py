"""Rows out of files, each with the place it came from; what can't be read is said with its line."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.decode import COMPRESSIONS, text_of, undecodable, unpacked
from rung.engine.data.json_rows import expanded, rows_in
from rung.engine.data.tables import table_rows

DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "splits.json")
"""Files beside the data that hold none."""


@dataclass(frozen=True)
class Row:
    """One row: its fields, its file, and its place there: the number, from 1, of a line, a list's item or a row."""

    fields: dict[str, Any]
    source: str
    line: int
    unit: str = "line"

    @property
    def place(self) -> str:
        """`line 3`, or `item 3` of a JSON list, or `row 3` of a Parquet file."""
        return f"{self.unit} {self.line}"

    def with_fields(self, fields: dict[str, Any]) -> "Row":
        """The row with further fields, or other values of them."""
        return replace(self, fields=self.fields | fields)


@dataclass(frozen=True)
class Problem:
    """Why a row, or a field of it, can't be used."""

    line: int
    field: str
    reason: str
    source: str = ""
    unit: str = "line"

    @property
    def place(self) -> str:
        """`line 3`, or as the row's own place is called."""
        return f"{self.unit} {self.line}"

    def to_json(self) -> dict[str, Any]:
        """The problem as `rung check --json` prints it."""
        place = {"line": self.line, "unit": self.unit}
        return place | {"field": self.field, "reason": self.reason, "source": self.source}


def read_rows(path: Path) -> tuple[list[Row], list[Problem]]:
    """All rows of a file, or of a folder's data files in name order, and the lines that are not rows.

    JSON Lines, JSON, CSV, TSV and Parquet, each also packed as .gz, .xz or .zst. What lies in hidden folders is not
    data. Raises EngineError when there is nothing to read at all.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    for file in data_files(path):
        for item in _read_file(file):
            (rows if isinstance(item, Row) else problems).append(item)  # type: ignore[arg-type]
    if not rows:
        details = "\n".join(f"{problem.source} {problem.place}: {problem.reason}" for problem in problems[:5])
        raise EngineError(f"{path} holds no usable row", details, "one JSON object a line, for example: " + _EXAMPLE)
    return rows, problems


_EXAMPLE = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


def data_kind(path: Path) -> str | None:
    """What the name says a file holds, `.jsonl` for example, packed or not; None for what is no data file."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix not in COMPRESSIONS]
    return suffixes[-1] if suffixes and suffixes[-1] in DATA_SUFFIXES else None


def data_files(path: Path) -> list[Path]:
    """The file itself, or a folder's data files in name order. Raises EngineError where there is none."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_data(file, path))
        if not files:
            raise EngineError(f"{path} holds no data file", hint=f"files that end in {', '.join(DATA_SUFFIXES)}")
        return files
    if not path.exists():
        near = [file.name for file in sorted(path.parent.glob("*")) if data_kind(file)] if path.parent.is_dir() else []
        hint = f"in that folder: {', '.join(near[:6])}" if near else "check the path"
        raise EngineError(f"{path} does not exist", hint=hint)
    if data_kind(path) is None:
        raise EngineError(f"{path} is not a kind of data file that is read", hint=f"use {', '.join(DATA_SUFFIXES)}")
    return [path]


def _is_data(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.name not in _ABOUT_DATA and data_kind(file) is not None and file.is_file()


def _read_file(path: Path) -> Iterator[Row | Problem]:
    kind = data_kind(path)
    if kind == ".parquet":
        yield from _read_parquet(path)
        return
    content = text_of(path)
    if not content.strip():
        yield Problem(1, "", "the file is empty", str(path))
    elif kind == ".jsonl":
        yield from _read_json_lines(content, str(path))
    elif kind == ".json":
        yield from _read_json(content, path)
    else:
        yield from _read_table(content, str(path), "\t" if kind == ".tsv" else ",")


def _read_json_lines(content: str, source: str) -> Iterator[Row | Problem]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=_number)
        except json.JSONDecodeError as error:
            yield Problem(number, "", f"not valid JSON: {error.msg} at column {error.colno}", source)
        except (ValueError, RecursionError) as error:
            yield Problem(number, "", f"not usable JSON: {error}", source)
        else:
            yield from _rows(value, source, number, "line")


def _read_json(content: str, path: Path) -> Iterator[Row | Problem]:
    try:
        value = json.loads(content, parse_constant=_number)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON lines under the name .json: common enough to read as such.
            yield from _read_json_lines(content, str(path))
            return
        raise EngineError(
            f"{path} is not valid JSON", f"line {error.lineno}, column {error.colno}: {error.msg}", "mend that place"
        ) from None
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path} is not usable JSON", str(error)) from None
    for number, item in enumerate(rows_in(value, str(path)), start=1):
        yield from _rows(item, str(path), number, "item")


def _read_table(content: str, source: str, delimiter: str) -> Iterator[Row | Problem]:
    empty = True
    for line, cells in table_rows(content, delimiter, source):
        empty = False
        if isinstance(cells, str):
            yield Problem(line, "", cells, source)
        else:
            yield from _rows(cells, source, line, "line")
    if empty:
        yield Problem(1, "", "the first line names the columns, and no row follows it", source)


def _read_parquet(path: Path) -> Iterator[Row | Problem]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise EngineError(
            f"{path} is a Parquet file", "reading it takes pyarrow", "it comes with rung[train]"
        ) from None

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(unpacked(path)))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} is not a readable Parquet file", str(error)) from None
    for number, fields in enumerate(table.to_pylist(), start=1):
        yield from _rows(_without_nan(fields), str(path), number, "row")


def _number(name: str) -> float | None:
    """What JSON of Python's has for what is no finite number; NaN is how pandas writes that nothing is there."""
    return None if name == "NaN" else float(name)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


def _rows(value: Any, source: str, number: int, unit: str) -> Iterator[Row | Problem]:
    """The row that stands in a place, or its examples where it has several, or why it can't be read."""
    if not isinstance(value, dict):
        yield Problem(number, "", f"a row is a JSON object, this is {type(value).__name__}", source, unit)
        return
    for name, content in value.items():
        if (reason := undecodable(content)) is not None or (reason := undecodable(name)) is not None:
            yield Problem(number, name if undecodable(name) is None else "", reason, source, unit)
            return
    for fields in expanded(value):
        yield Row(fields, source, number, unit)
