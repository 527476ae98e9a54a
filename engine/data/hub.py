"""Data sets of the hub: their rows, once fetched, lie in a JSON Lines file of ours and are read like any other file."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import sha256_text
from rung.engine.data.read import data_kind

if TYPE_CHECKING:
    from rung.engine.recipe.schema import DataSettings

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DEFAULT_SPLIT = "train"
# Hub names may have a dot; one of these is a file that isn't there.
_FILES = (".yaml", ".yml", ".txt", ".md", ".html", ".pdf", ".py", ".gz", ".xz", ".zst", ".zip")


def training_source(data: "DataSettings", root: Path) -> Path:
    """Where the training rows of a recipe lie, fetched where they were not here. Raises EngineError."""
    return local_source(data.train, root, data)


def validation_source(data: "DataSettings", root: Path) -> Path | None:
    """Where the rows for choosing lie; None where they are to be held out of the training rows. Raises EngineError."""
    if data.validation is None and data.validation_split is None:
        return None
    return local_source(data.validation or data.train, root, data, data.validation_split)


def is_hub_id(name: str) -> bool:
    """Whether a name that is no file here may be a hub's owner/name."""
    path = Path(name)
    is_file = data_kind(path) is not None or path.suffix.lower() in _FILES
    return _HUB_ID.fullmatch(name) is not None and not is_file


def local_source(name: str, root: Path, data: "DataSettings", split: str | None = None) -> Path:
    """The file or folder that a recipe's data source lies in.

    A path is taken as it is, unless a split of a folder is asked for. A hub id's rows (or such a folder's) are fetched
    into the cache: at the revision, of the split, the first `max_rows` of them; with `streaming` no more than those are
    downloaded. Raises EngineError.
    """
    path = root / Path(name).expanduser()
    wanted = split or data.split
    if path.exists() and (path.is_file() or wanted is None):
        return path
    if not path.exists() and not is_hub_id(name):
        return path  # Reading it says that it isn't there, and what is.
    source = str(path) if path.exists() else name
    return fetch_rows(source, wanted or DEFAULT_SPLIT, data.revision, data.streaming, data.max_rows)


def fetch_rows(
    source: str, split: str, revision: str | None = None, streaming: bool = False, max_rows: int | None = None
) -> Path:
    """The rows of a hub data set, or of a folder laid out like one, as a JSON Lines file in the cache.

    A file that is there already is used again where the revision is a commit, which can't change.
    """
    asked = json.dumps([source, split, revision, streaming, max_rows])
    name = f"{re.sub(r'[^A-Za-z0-9.-]+', '--', source).strip('-')[-60:]}-{split}-{sha256_text(asked)[:12]}.jsonl"
    file = _cache() / name.replace("/", "-")
    if file.exists() and re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        return file
    rows = _rows(source, split, revision, streaming)
    _write(file, rows if max_rows is None else islice(rows, max_rows), source)
    return file


def _rows(source: str, split: str, revision: str | None, streaming: bool) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        yield from load_dataset(source, split=split, revision=revision, streaming=streaming)
    except (DatasetsError, OSError, ValueError) as error:
        raise EngineError(
            f"The data set {source} can't be read",
            f"split {split}, revision {revision or 'the default'}: {str(error).splitlines()[0]}",
            "check the name, data.split and data.revision; rung doctor shows the cache and the network",
        ) from error


def _write(file: Path, rows: Iterable[dict[str, Any]], source: str) -> None:
    partial = file.with_suffix(f".{os.getpid()}.partial")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        os.replace(partial, file)
    except OSError as error:
        raise EngineError(f"The rows of {source} can't be kept", f"{file}: {error}", "free space there") from error
    finally:
        partial.unlink(missing_ok=True)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rung" / "data"
