"""The hub's cache on this machine, read by its files alone: where it is, what lies in it whole, what is begun.

The layout is the one that huggingface_hub documents: `models--ORG--NAME/` with `refs/REVISION` (a commit), `blobs/HASH`
and `snapshots/COMMIT/FILE`, links to the blobs. Nothing here uses the network or loads a library.
"""

import json
import os
import re
from pathlib import Path

from rung.engine.core.errors import EngineError

PARTIAL = ".rung.incomplete"
"""Ending of a blob that is not whole yet; `hf cache` knows `.incomplete` files as downloads that were broken off."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")


def cache_folder() -> Path:
    """Where hub models are kept: HF_HUB_CACHE, else hub/ in HF_HOME, else ~/.cache/huggingface/hub."""
    environment = os.environ
    home = environment.get("HF_HOME") or os.path.join(environment.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(named)).expanduser()


def is_offline() -> bool:
    """Whether the environment asks for no network (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)


def checked_name(name: str) -> str:
    """`name` where it can be a hub id. Raises EngineError."""
    if not _NAME.fullmatch(name) or ".." in name or "--" in name:
        raise EngineError(
            f"{name} is not the name of a hub model", hint="write it as ORGANISATION/NAME, for example Qwen/Qwen3-0.6B"
        )
    return name


def repository_folder(name: str) -> Path:
    """Where a model's files are kept, or will be."""
    return cache_folder() / ("models--" + name.replace("/", "--"))


def cached_model(name: str, revision: str | None = None) -> Path | None:
    """The snapshot of a model that lies here whole (its configuration and all its weights), or None.

    Of a branch or tag it is the commit that was brought last; the folder's name is the commit.
    """
    folder = cached_snapshot(name, revision)
    return folder if folder is not None and _is_whole(folder) else None


def cached_snapshot(name: str, revision: str | None = None) -> Path | None:
    """The folder of whatever lies here of a model's revision, whole or not."""
    repository = repository_folder(name)
    commit = revision if revision and _COMMIT.fullmatch(revision) else _referenced(repository, revision or "main")
    folder = repository / "snapshots" / (commit or "")
    return folder if commit and folder.is_dir() else None


def name_of_snapshot(folder: str) -> str | None:
    """The hub id of the model that a snapshot's folder holds; None for any other folder."""
    found = re.search(r"/models--([^/]+)--([^/]+)/snapshots/[0-9a-f]{40}/?$", folder)
    return f"{found[1]}/{found[2]}" if found else None


def has_tokenizer(folder: Path) -> bool:
    """Whether a model folder holds a tokenizer too."""
    return any((folder / name).exists() for name in _TOKENIZERS)


def bytes_begun(name: str) -> int:
    """Bytes of a model's files that are here but not whole: a download that goes on, or can be gone on with."""
    return sum(file.stat().st_size for file in (repository_folder(name) / "blobs").glob("*" + PARTIAL))


def _referenced(repository: Path, revision: str) -> str | None:
    try:
        return (repository / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _is_whole(folder: Path) -> bool:
    if not (folder / "config.json").exists():
        return False
    if (folder / "model.safetensors").exists():
        return True
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return any(folder.glob("*.safetensors"))
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return False
    # A link in a snapshot exists once the file behind it is whole.
    return all((folder / str(shard)).exists() for shard in shards)
