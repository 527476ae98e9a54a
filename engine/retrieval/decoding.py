"""Bytes of unknown encoding to text, and what had to be guessed."""

import codecs
import re
from pathlib import Path

BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DECLARATION = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([A-Za-z0-9_.:-]+)""")
FALLBACK = "cp1252"  # what most files that are not Unicode are; ISO 8859-1 differs in control characters only


def read_text(path: Path, is_declared: bool = False) -> tuple[str, str | None]:
    """A file's text, and a note where its encoding was guessed. Undecodable bytes become U+FFFD.

    `is_declared`: the format can name its encoding (HTML), and is believed where it is not UTF-8.
    """
    encoding, note = encoding_of(path)
    content = path.read_bytes()
    if note and is_declared:
        declared = _declared_encoding(content[:2048])
        encoding, note = (declared, None) if declared else (encoding, note)
    return content.decode(encoding, "replace"), note


def encoding_of(path: Path) -> tuple[str, str | None]:
    """The encoding of a file (byte order mark, else UTF-8 if all of it is valid, else Windows-1252), and a note."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        block = stream.read(BLOCK_BYTES)
        for mark, encoding in BYTE_ORDER_MARKS:
            if block.startswith(mark):
                return encoding, None
        try:
            while block:
                decoder.decode(block)
                block = stream.read(BLOCK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return FALLBACK, "not UTF-8: read as Windows-1252, so some characters may be wrong"
    return "utf-8", None


def _declared_encoding(head: bytes) -> str | None:
    found = DECLARATION.search(head)
    try:
        return codecs.lookup(found[1].decode()).name if found else None
    except LookupError:
        return None


def looks_binary(path: Path) -> bool:
    """Whether the first 8 KiB hold a NUL byte, as text (but UTF-16 and UTF-32 with their marks) never does."""
    with path.open("rb") as stream:
        head = stream.read(8192)
    return b"\x00" in head and not head.startswith(tuple(mark for mark, _ in BYTE_ORDER_MARKS))
