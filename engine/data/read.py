"""Rows out of files, each with the place it came from; what can't be read is said with its line."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.decode import COMPRESSIONS, text_of, undecodable, unpacked
from engine.errors import EngineError

DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "splits.json")
"""Files beside the data that hold none."""


@dataclass(frozen=True)
class Row:
    """One row: its fields, its file, and its line there (for JSON lists and Parquet: its number, from 1)."""

    fields: dict[str, Any]
    source: str
    line: int


@dataclass(frozen=True)
class Problem:
    """Why a row, or a field of it, can't be used."""

    line: int
    field: str
    reason: str
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """The problem as `rung check --json` prints it."""
        return {"line": self.line, "field": self.field, "reason": self.reason, "source": self.source}


def read_rows(path: Path) -> tuple[list[Row], list[Problem]]:
    """All rows of a file, or of a folder's data files in name order, and the lines that are not rows.

    JSON Lines, JSON, CSV, TSV and Parquet, each also packed as .gz, .xz or .zst. What lies in hidden folders is not
    data. Raises EngineError when there is nothing to read at all.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    for file in _data_files(path):
        for item in _read_file(file):
            (rows if isinstance(item, Row) else problems).append(item)  # type: ignore[arg-type]
    if not rows:
        details = "\n".join(f"{problem.source} line {problem.line}: {problem.reason}" for problem in problems[:5])
        raise EngineError(f"{path} holds no usable row", details, "one JSON object a line, for example: " + _EXAMPLE)
    return rows, problems


_EXAMPLE = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


def data_kind(path: Path) -> str | None:
    """What the name says a file holds, `.jsonl` for example, packed or not; None for what is no data file."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix not in COMPRESSIONS]
    return suffixes[-1] if suffixes and suffixes[-1] in DATA_SUFFIXES else None


def _data_files(path: Path) -> list[Path]:
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
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield Problem(number, "", f"not valid JSON: {error.msg} at column {error.colno}", source)
        except (ValueError, RecursionError) as error:
            yield Problem(number, "", f"not usable JSON: {error}", source)
        else:
            yield _row(value, source, number)


def _read_json(content: str, path: Path) -> Iterator[Row | Problem]:
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON lines under the name .json: common enough to read as such.
            yield from _read_json_lines(content, str(path))
            return
        raise EngineError(
            f"{path} is not valid JSON", f"line {error.lineno}, column {error.colno}: {error.msg}", "mend that place"
        ) from None
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path} is not usable JSON", str(error)) from None
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else [value]
    for number, item in enumerate(value if isinstance(value, list) else [value], start=1):
        yield _row(item, str(path), number)


def _read_table(content: str, source: str, delimiter: str) -> Iterator[Row | Problem]:
    # A cell may hold a whole document; Python's own limit is 131,072 characters.
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Problem(line, "", f"not a readable row: {error}", source)
            continue
        if cells is None:
            return
        if not cells:
            continue
        if not header:
            header = cells
        elif len(cells) > len(header):
            yield Problem(line, "", "more cells than the header has columns", source)
        else:
            missing: list[str | None] = [None] * (len(header) - len(cells))
            yield _row(dict(zip(header, [*cells, *missing], strict=True)), source, line)


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
        yield _row(fields, str(path), number)


def _row(value: Any, source: str, number: int) -> Row | Problem:
    if not isinstance(value, dict):
        return Problem(number, "", f"a row is a JSON object, this is {type(value).__name__}", source)
    for name, content in value.items():
        if (reason := undecodable(content)) is not None or (reason := undecodable(name)) is not None:
            return Problem(number, name if undecodable(name) is None else "", reason, source)
    return Row(value, source, number)
