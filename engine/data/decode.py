"""The text of a data file: unpacked, and decoded so that a bad byte spoils its own line and no other."""

import codecs
import gzip
import lzma
import re
import zlib
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError

COMPRESSIONS = (".gz", ".xz", ".zst")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def unpacked(path: Path) -> bytes:
    """The file's bytes, decompressed where its name ends in .gz, .xz or .zst. Raises EngineError."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            return gzip.decompress(raw)
        if path.suffix == ".xz":
            return lzma.decompress(raw)
        return _from_zstd(raw) if path.suffix == ".zst" else raw
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise EngineError(f"{path} can't be read", str(error)) from error


def text_of(path: Path) -> str:
    """The file's text: UTF-8, or what its byte order mark says. Bytes that aren't stay as lone surrogates."""
    raw = unpacked(path)
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError as error:
        raise EngineError(
            f"{path} is not {encoding.upper()} text", f"byte {error.start}: {error.reason}", "save it as UTF-8"
        ) from None


def undecodable(value: Any) -> str | None:
    """What in the strings of a row is no text, in words; None when all is."""
    if isinstance(value, str):
        found = _SURROGATE.search(value)
        if found is None:
            return None
        code = ord(found[0])
        if 0xDC80 <= code <= 0xDCFF:
            return f"is not UTF-8 text (byte 0x{code - 0xDC00:02X}): save the file as UTF-8"
        return f"holds half a character (\\u{code:04x} without its other half)"
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return next((reason for item in value if (reason := undecodable(item)) is not None), None)
    return None


def _from_zstd(raw: bytes) -> bytes:
    try:
        import pyarrow
    except ImportError:
        raise ValueError("unpacking .zst takes pyarrow, which comes with the training stack") from None
    with pyarrow.input_stream(pyarrow.BufferReader(raw), compression="zstd") as stream:
        content: bytes = stream.read()
        return content
