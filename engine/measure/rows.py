"""What a row of data says: its text, what is asked in it, what is answered, and its identity."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.files import sha256_text

Row = Mapping[str, Any]

# What is asked, then what is answered, for each way of writing a row; the first that fits counts.
_FIELDS = (
    (("instruction", "input"), ("output",)),
    (("prompt",), ("completion",)),
    (("question",), ("answer",)),
    (("prompt",), ("chosen", "rejected")),
    ((), ("chosen", "rejected")),
    (("prompt",), ()),
)
_WORD = re.compile(r"\w+")


def row_text(row: Row) -> str:
    """All that the row says: what is asked and what is answered; of an unknown kind of row, all its strings."""
    return "\n".join(part for part in row_parts(row) if part)


def row_parts(row: Row) -> tuple[str, str]:
    """What is asked in the row, and what is answered. Of running text, and of unknown rows, all is the answer."""
    for field in ("messages", "conversations"):
        if isinstance(row.get(field), list) and row[field]:
            turns = [text_of(turn) for turn in row[field]]
            return "\n".join(turns[:-1]), turns[-1]
    for asked, answered in _FIELDS:
        if asked and asked[0] not in row or answered and answered[0] not in row:
            continue
        return _joined(row.get(name) for name in asked), _joined(row.get(name) for name in answered)
    return "", _joined(value for name, value in row.items() if name != "id")


def row_id(row: Row) -> str:
    """The row's own `id`, or 12 hex digits of the hash of its content."""
    own = row.get("id")
    return str(own) if isinstance(own, (str, int)) and own != "" else content_hash([row])[:12]


def content_hash(rows: Iterable[Row]) -> str:
    """Hex sha256 of the rows' values in their order, however they are written down."""
    return sha256_text("\n".join(_canonical(row) for row in rows))


def plain_words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation: what is left when only the writing differs."""
    return _WORD.findall(text.casefold())


def text_of(value: Any) -> str:
    """The strings in a value: of a chat turn its content, of a list those of its items."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for name in ("content", "value", "text"):
            if name in value:
                return text_of(value[name])
        return _joined(value.values())
    if isinstance(value, Sequence):
        return _joined(value)
    return "" if value is None else str(value)


def _canonical(row: Row) -> str:
    # Unlike canonical_json this takes what Parquet and Python's JSON may hold: dates and NaN.
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _joined(values: Iterable[Any]) -> str:
    return "\n".join(text for text in map(text_of, values) if text)
