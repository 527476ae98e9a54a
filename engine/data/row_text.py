"""What a row of data says: its text, what is asked in it, what is answered, and its identity."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rung.engine.core.files import sha256_text
from rung.engine.data.content import content_of_row

Row = Mapping[str, Any]

_WORD = re.compile(r"\w+")


def row_text(row: Row) -> str:
    """All that the row says: what is asked and what is answered; of an unknown kind of row, all its strings."""
    return content_of_row(row).text


def row_parts(row: Row) -> tuple[str, str]:
    """What is asked in the row, and what is answered. Of running text, and of unknown rows, all is the answer."""
    content = content_of_row(row)
    return content.asked, content.answered


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


def _canonical(row: Row) -> str:
    # Unlike canonical_json this takes what Parquet and Python's JSON may hold: dates and NaN.
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
