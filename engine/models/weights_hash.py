"""Content hashes of model folders and adapters, remembered by path, size and time so that large files are read once."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_file, sha256_text, write_json_atomic

# Of an adapter's configuration, what says where it came from and not what it does.
_PROVENANCE = ("base_model_name_or_path", "auto_mapping", "revision", "peft_version", "inference_mode")
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
_MOST_REMEMBERED = 1_000


def weights_hash(folder: Path) -> str:
    """Hex sha256 over a model's safetensors files and the configuration that says how they compute."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EngineError(
            f"{folder} has no weights", "no *.safetensors", "weights are read from safetensors files only"
        )
    hashes = {file.name: _remembered_hash(file) for file in files}
    config = read_json(folder / "config.json")
    config = {key: value for key, value in config.items() if key not in ("_name_or_path", "transformers_version")}
    return sha256_text(canonical_json({"files": hashes, "config": config}))


def tokenizer_hash(folder: Path) -> str:
    """Hex sha256 over the files that decide how text becomes tokens, the chat template among them."""
    present = [name for name in _TOKENIZER_FILES if (folder / name).exists()]
    return sha256_text(canonical_json({name: sha256_file(folder / name) for name in present}))


def adapter_identity(folder: Path) -> dict[str, Any]:
    """An adapter's tensor hash, and its configuration without paths."""
    config_file = folder / "adapter_config.json"
    if not config_file.exists():
        raise EngineError(f"{folder} is not an adapter", "adapter_config.json is missing")
    config = {key: value for key, value in read_json(config_file).items() if key not in _PROVENANCE}
    # PEFT writes the names of layers as a set, in any order.
    config = {key: sorted(value) if _is_words(value) else value for key, value in config.items()}
    tensors = {file.name: _remembered_hash(file) for file in sorted(folder.glob("*.safetensors"))}
    return {"tensors": sha256_text(canonical_json(tensors)), "config": config}


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _remembered_hash(file: Path) -> str:
    status = file.stat()
    key = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    memory = _memory_file()
    known = _read_memory(memory)
    if key not in known:
        known[key] = sha256_file(file)
        kept = dict(list(known.items())[-_MOST_REMEMBERED:])
        # Without a place to remember, the hash is computed again next time.
        with contextlib.suppress(OSError):
            write_json_atomic(memory, kept)
    return known[key]


def _memory_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "rung" / "weight-hashes.json"


def _read_memory(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # A cache: what is missing or damaged is computed again.
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
