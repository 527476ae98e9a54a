"""Files that are never half-written: atomic replacement, JSON lines, and the hashes that identify content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError


def is_path(text: str | Path) -> bool:
    """Whether a file or folder lies at this path: False, and no error, for a text that can't be a path at all.

    `Path.exists` raises OSError where the text is longer than a file's name may be.
    """
    return os.path.exists(text)


def is_folder(text: str | Path) -> bool:
    """Whether a folder lies at this path, with as little fuss about what can't be a path."""
    return os.path.isdir(text)


def write_text_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step; a reader sees the old file or the whole new one."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step (written beside it, synced, renamed)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; what we write is the user's, with the user's own umask.
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in one step."""
    write_text_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines_atomic(path: Path, rows: list[Any]) -> None:
    """Write one JSON value a line in one step."""
    write_text_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def append_json_line(path: Path, value: Any) -> None:
    """Append one JSON line with a single write, so that a line is either there or torn at the very end."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(line.encode())


def cut_torn_line(path: Path) -> None:
    """Cut off the half line that a kill in the middle of an append leaves; a missing file stays missing."""
    if path.exists():
        with path.open("r+b") as stream:
            content = stream.read()
            stream.truncate(content.rfind(b"\n") + 1)


def read_json(path: Path) -> Any:
    """The JSON value in `path`. Raises EngineError with line and column when it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EngineError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} can't be read", str(error)) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise EngineError(f"{path} is not valid JSON", f"{where}: {error.msg}") from None


def read_json_lines(path: Path) -> list[Any]:
    """The values of a file that we append to; a last line without a newline is not there yet. Missing file: []."""
    return list(iterate_json_lines(path))


def iterate_json_lines(path: Path) -> Iterator[Any]:
    """Values one by one, as `read_json_lines`."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line_number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError:
                raise EngineError(f"{path} has a damaged line", f"line {line_number} is not JSON") from None


def canonical_json(value: Any) -> str:
    """The one JSON text of a value (sorted keys, no spaces), so that equal values have equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex sha256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
