"""Checkpoints that are whole or not there: a manifest of sizes and hashes, then one rename."""

import os
import shutil
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, sha256_file, write_json_atomic
from rung.engine.jobs.folder import RunFolder

MANIFEST = "manifest.json"
# A pickle that nothing reads back; ours are the recipe and trainer_state.json.
_LEFT_OUT = ("training_args.bin",)
# The frozen reference of a preference run: made anew from what the run started from.
_REFERENCE = "ref"


def adopt_checkpoint(folder: RunFolder, written: Path, step: int) -> Path:
    """Make the folder that the trainer wrote into `checkpoints/step-N`, complete with its manifest."""
    for name in _LEFT_OUT:
        (written / name).unlink(missing_ok=True)
    shutil.rmtree(written / _REFERENCE, ignore_errors=True)
    files = [file for file in sorted(written.rglob("*")) if file.is_file()]
    write_json_atomic(
        written / MANIFEST,
        {str(file.relative_to(written)): {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in files},
    )
    folder.checkpoints.mkdir(exist_ok=True)
    target = checkpoint_path(folder, step)
    if target.exists():
        shutil.rmtree(target)
    os.replace(written, target)
    return target


def checkpoint_path(folder: RunFolder, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder.checkpoints / f"step-{step}"


def checkpoint_steps(folder: RunFolder) -> list[int]:
    """Steps of the checkpoints there are, rising."""
    if not folder.checkpoints.is_dir():
        return []
    names = [entry.name for entry in folder.checkpoints.iterdir() if entry.name.startswith("step-")]
    return sorted(int(name.removeprefix("step-")) for name in names)


def latest_checkpoint(folder: RunFolder) -> Path | None:
    """The newest checkpoint, or None."""
    steps = checkpoint_steps(folder)
    return checkpoint_path(folder, steps[-1]) if steps else None


def verify_checkpoint(path: Path) -> None:
    """Raise EngineError when a file of the checkpoint is missing or not what the manifest says."""
    for name, expected in read_json(path / MANIFEST).items():
        file = path / name
        if not file.exists() or file.stat().st_size != expected["bytes"] or sha256_file(file) != expected["sha256"]:
            raise EngineError(
                f"The checkpoint {path.name} is damaged", f"{name} is missing or has changed",
                f"remove {path} to go on from an earlier one",
            )  # fmt: skip


def rotate(folder: RunFolder, keep: int | None, best_step: int | None) -> None:
    """Remove the oldest checkpoints beyond `keep`; the best one always stays."""
    if keep is None:
        return
    for step in checkpoint_steps(folder)[:-keep] if keep else []:
        if step != best_step:
            shutil.rmtree(checkpoint_path(folder, step))
