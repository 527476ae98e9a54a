"""Rows out of files, each with the place it came from; what can't be read is said with its line."""

import csv
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError

DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
COMPRESSIONS = (".gz", ".xz")


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

    Raises EngineError when there is nothing to read at all.
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


def _data_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and _kind(file) is not None)
        if not files:
            raise EngineError(f"{path} holds no data file", hint=f"files that end in {', '.join(DATA_SUFFIXES)}")
        return files
    if not path.exists():
        near = [file.name for file in sorted(path.parent.glob("*")) if _kind(file)] if path.parent.is_dir() else []
        hint = f"in that folder: {', '.join(near[:6])}" if near else "check the path"
        raise EngineError(f"{path} does not exist", hint=hint)
    if _kind(path) is None:
        raise EngineError(f"{path} is not a kind of data file that is read", hint=f"use {', '.join(DATA_SUFFIXES)}")
    return [path]


def _kind(path: Path) -> str | None:
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSIONS]
    return suffixes[-1] if suffixes and suffixes[-1] in DATA_SUFFIXES else None


def _read_file(path: Path) -> Iterator[Row | Problem]:
    kind = _kind(path)
    if kind == ".parquet":
        yield from _read_parquet(path)
        return
    content = _content(path)
    if not content.strip():
        yield Problem(1, "", "the file is empty", str(path))
    elif kind == ".jsonl":
        yield from _read_json_lines(content, str(path))
    elif kind == ".json":
        yield from _read_json(content, path)
    else:
        yield from _read_table(content, str(path), "\t" if kind == ".tsv" else ",")


def _content(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        elif path.suffix == ".xz":
            raw = lzma.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise EngineError(f"{path} is not UTF-8 text", f"line {line}: byte {error.start}", "save it as UTF-8") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise EngineError(f"{path} can't be read", str(error)) from error


def _read_json_lines(content: str, source: str) -> Iterator[Row | Problem]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield Problem(number, "", f"not valid JSON: {error.msg} at column {error.colno}", source)
            continue
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
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else [value]
    for number, item in enumerate(value, start=1):
        yield _row(item, str(path), number)


def _read_table(content: str, source: str, delimiter: str) -> Iterator[Row | Problem]:
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter)
    for fields in reader:
        if None in fields:
            yield Problem(reader.line_num, "", "more cells than the header has columns", source)
        else:
            yield Row(dict(fields), source, reader.line_num)


def _read_parquet(path: Path) -> Iterator[Row | Problem]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} is not a readable Parquet file", str(error)) from None
    for number, fields in enumerate(table.to_pylist(), start=1):
        yield Row(fields, str(path), number)


def _row(value: Any, source: str, number: int) -> Row | Problem:
    if isinstance(value, dict):
        return Row(value, source, number)
    return Problem(number, "", f"a row is a JSON object, this is {type(value).__name__}", source)
