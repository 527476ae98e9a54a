"""JSONL, JSON arrays, CSV and TSV: one document a row, in the order of the file, read as a stream."""

import csv
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rung.engine.retrieval.decoding import encoding_of
from rung.engine.retrieval.documents import Document, UnreadableFile, clean_text

TEXT_NAMES = (
    "text",
    "content",
    "body",
    "passage",
    "context",
    "document",
    "page_content",
    "chunk",
    "markdown",
    "article",
)
TITLE_NAMES = ("title", "headline", "heading", "subject", "name")
PAIR = ("question", "answer")  # a frequently-asked-questions table: both together are the document
SAMPLE_ROWS = 100
METADATA_CHARACTERS = 200  # longer values are texts, not facts about the row

Row = dict[str, Any]
NoteRow = Callable[[int, str], None]  # (line, why the row is left out)


def row_documents(
    absolute: Path,
    path: str,
    *,
    text_column: str | None,
    title_column: str | None,
    note: Callable[[str], None],
    note_row: NoteRow,
) -> Iterator[Document]:
    """A document for every row with text; the others go to `note_row`, with their line (in a JSON array: number).

    The text column is the named one, else one of the usual names, else question and answer together, else the column
    with the longest texts. Raises UnreadableFile where there is none.
    """
    encoding, encoding_note = encoding_of(absolute)
    if encoding_note:
        note(encoding_note)
    rows = _rows(absolute, encoding, note_row)
    sample = list(itertools.islice(rows, SAMPLE_ROWS))
    if not sample:
        return
    columns = list(dict.fromkeys(name for _, row in sample for name in row))
    texts = _text_columns([row for _, row in sample], columns, text_column)
    title = _title_column(columns, texts, title_column)
    if text_column is None and texts[0].lower() not in (*TEXT_NAMES, *PAIR):
        note(f"column {texts[0]} is taken as the text: it has the longest values; name another with text_column")
    for line, row in itertools.chain(sample, rows):
        text = clean_text("\n".join(str(row[name]) for name in texts if _is_text(row.get(name)))).strip()
        if not text:
            note_row(line, f"no text in column {' or '.join(texts)}")
            continue
        yield Document(
            source=f"{path}#{line}",
            path=path,
            text=text,
            title=clean_text(str(row[title])).strip() if title and _is_text(row.get(title)) else "",
            metadata={name: value for name, value in row.items() if name not in texts and _is_fact(value)},
        )


def is_array_of_objects(absolute: Path) -> bool:
    """Whether a .json file's first two marks are `[` and `{`, as a table of rows has."""
    with absolute.open("rb") as stream:
        head = b"".join(stream.read(4096).split())
    return head.removeprefix(b"\xef\xbb\xbf").startswith(b"[{")


def _text_columns(sample: list[Row], columns: list[str], named: str | None) -> tuple[str, ...]:
    if named is not None:
        if named not in columns:
            raise UnreadableFile(f"no column {named}; it has {', '.join(columns)}")
        return (named,)
    by_lower = {name.lower(): name for name in reversed(columns)}
    for name in TEXT_NAMES:
        if name in by_lower:
            return (by_lower[name],)
    if all(name in by_lower for name in PAIR):
        return tuple(by_lower[name] for name in PAIR)
    lengths = {name: sum(len(row[name]) for row in sample if isinstance(row.get(name), str)) for name in columns}
    longest = max(lengths, key=lambda name: lengths[name])
    if lengths[longest] == 0:
        raise UnreadableFile(f"no column with text; it has {', '.join(columns)}")
    return (longest,)


def _title_column(columns: list[str], texts: tuple[str, ...], named: str | None) -> str | None:
    if named is not None:
        if named not in columns:
            raise UnreadableFile(f"no column {named}; it has {', '.join(columns)}")
        return named
    by_lower = {name.lower(): name for name in reversed(columns) if name not in texts}
    return next((by_lower[name] for name in TITLE_NAMES if name in by_lower), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip() != ""


def _is_fact(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= METADATA_CHARACTERS)
    )


def _rows(absolute: Path, encoding: str, note_row: NoteRow) -> Iterator[tuple[int, Row]]:
    suffix = absolute.suffix.lower()
    if suffix == ".json":
        return _json_rows(absolute, encoding, note_row)
    if suffix in (".csv", ".tsv"):
        return _csv_rows(absolute, encoding, note_row)
    return _jsonl_rows(absolute, encoding, note_row)


def _jsonl_rows(absolute: Path, encoding: str, note_row: NoteRow) -> Iterator[tuple[int, Row]]:
    with absolute.open(encoding=encoding, errors="replace", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                note_row(number, f"not JSON ({error})")
                continue
            row = _as_row(value)
            if row is None:
                note_row(number, "neither a JSON object nor a string")
            else:
                yield number, row


def _json_rows(absolute: Path, encoding: str, note_row: NoteRow) -> Iterator[tuple[int, Row]]:
    try:
        values = json.loads(absolute.read_bytes().decode(encoding, "replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"not JSON ({error})") from None
    for number, value in enumerate(values, start=1):
        row = _as_row(value)
        if row is None:
            note_row(number, "neither a JSON object nor a string")
        else:
            yield number, row


def _csv_rows(absolute: Path, encoding: str, note_row: NoteRow) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses cells over 128 KiB
    with absolute.open(encoding=encoding, errors="replace", newline="") as stream:
        header = stream.readline()
        delimiter = max("\t,;|" if absolute.suffix.lower() == ".tsv" else ",;\t|", key=header.count)
        stream.seek(0)
        reader = csv.DictReader((line.replace("\x00", "") for line in stream), delimiter=delimiter)
        try:
            for row in reader:
                if row.pop(None, None) is not None:
                    note_row(reader.line_num, "more cells than the header has columns; the rest is left out")
                yield reader.line_num, row
        except csv.Error as error:
            raise UnreadableFile(f"line {reader.line_num}: {error}") from None


def _as_row(value: Any) -> Row | None:
    if isinstance(value, str):
        return {"text": value}
    return value if isinstance(value, dict) else None
