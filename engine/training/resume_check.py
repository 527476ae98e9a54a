"""Whether a resumed run still has the recipe and the rows that it began with: else its curve would be of two runs."""

import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_text, write_json_atomic
from rung.engine.data.report import LoadedData
from rung.engine.jobs.checkpoints import latest_checkpoint
from rung.engine.jobs.folder import RunFolder
from rung.engine.recipe.schema import Recipe

FILE = "inputs.json"
# What may change in the middle of a run: none of it decides what is learned.
_FREE = (
    "name", "tags", "overrides", "worker_python", "report_to", "launcher", "devices", "samples", "probe",
    "training.eval_steps", "training.save_steps", "training.save_total_limit", "training.early_stopping_patience",
    "training.gradient_checkpointing", "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
)  # fmt: skip


def changed_inputs(
    recipe: Recipe, folder: RunFolder, train: LoadedData, validation: LoadedData
) -> dict[str, EngineError]:
    """Reasons not to go on, by the name that overrides them; a run that begins notes its inputs and has none."""
    now = {"recipe": _fields(recipe), "rows": {"train": _of_rows(train), "validation": _of_rows(validation)}}
    path = folder.path / FILE
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None or not path.exists():
        write_json_atomic(path, now)
        return {}
    then = read_json(path)
    found: dict[str, EngineError] = {}
    fields = sorted(then["recipe"].keys() | now["recipe"].keys())
    changed = [name for name in fields if then["recipe"].get(name) != now["recipe"].get(name)]
    if changed:
        lines = [f"{name}: {_shown(then['recipe'], name)} → {_shown(now['recipe'], name)}" for name in changed]
        found["recipe_changed"] = EngineError(
            f"The recipe of {folder.id} has changed since {checkpoint.name}",
            "\n".join(lines),
            "put it back, or start a new run with start_from",
        )
    rows = [_row_change(name, then["rows"][name], now["rows"][name], recipe) for name in ("train", "validation")]
    told = [said for said in rows if said]
    if told:
        found["data_changed"] = EngineError(
            f"The rows of {folder.id} have changed since {checkpoint.name}",
            "\n".join(told),
            "put the files back as they were, or start a new run with start_from",
        )
    return found


def _fields(recipe: Recipe) -> dict[str, Any]:
    """What decides the curve, flat; the batch as what one optimizer step takes."""
    flat = _flat(recipe.model_dump())
    kept = {
        name: value
        for name, value in flat.items()
        if name not in _FREE and not name.startswith(tuple(f"{free}." for free in _FREE))
    }
    training = recipe.training
    kept["effective batch"] = training.per_device_train_batch_size * training.gradient_accumulation_steps
    return kept


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict) and item:
            found |= _flat(item, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = item
    return found


def _of_rows(data: LoadedData) -> dict[str, Any]:
    """The number of rows, and a hash of what the model sees of them: tokens and labels, wherever they are stored."""
    digest = hashlib.sha256()
    for item in data.encoded:
        for name, value in sorted(vars(item).items()):
            if name in ("source", "line"):
                continue
            numbers = isinstance(value, Sequence) and not isinstance(value, str)
            digest.update(array("q", value).tobytes() if numbers else sha256_text(canonical_json(value)).encode())
    return {"count": len(data.encoded), "sha256": digest.hexdigest()}


def _row_change(name: str, then: dict[str, Any], now: dict[str, Any], recipe: Recipe) -> str:
    if then == now:
        return ""
    source = getattr(recipe.data, name) or recipe.data.train
    counts = f"{then['count']} rows then, {now['count']} now" if then["count"] != now["count"] else "other tokens"
    return f"{name} ({source}): {counts}"


def _shown(fields: dict[str, Any], name: str) -> str:
    return canonical_json(fields[name]) if name in fields else "not there"
