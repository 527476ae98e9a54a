"""Taking a run's result out of its folder: export, merge into the base, combination with others.

What can be refused at once is refused here, without the training stack; the work itself is done in a worker process,
which writes beside the final name and renames at the end.
"""

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.stack import require_stack
from rung.engine.models.merging import adapter_config, refuse_uncombinable, refuse_unmergeable
from rung.engine.results.adapters import read_combined, result_of
from rung.engine.results.comparison import base_model, read_recipe

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
How = Literal["cat", "svd", "ties_svd"]
PARTIAL_SUFFIX = ".partial"
CANCEL_SECONDS = 10.0
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Part:
    """One adapter of a combination and its weight."""

    run: RunFolder
    weight: float


@dataclass(frozen=True)
class Errand:
    """What a worker is asked to do, in which interpreter, and where its output goes."""

    target: Path
    asked: dict[str, Any]
    log: Path
    python: str | None


def export_errand(
    root: Path,
    run: RunFolder,
    *,
    to: Path | None = None,
    merged: bool = False,
    dtype: Dtype = "auto",
    python: str | None = None,
) -> Errand:
    """An export of a run's result, as it is or `merged` into its base; by default into `exports/` of the project.

    `dtype` is that of a merged model's weights; auto: as the base's files have them. Raises EngineError for a run
    without a result, an adapter that can't be merged, and a folder that holds something already.
    """
    result = result_of(run)
    merged = merged and result.name == "adapter"
    if merged:
        refuse_unmergeable(result)
    elif dtype != "auto":
        raise EngineError(
            "Only a merged model is written in another dtype",
            f"{result.name}/ of {run.id} is copied as it is; {dtype} was asked for",
            "merge the adapter, or leave the dtype out",
        )
    target = to if to is not None else default_target(root, run, merged)
    refuse_filled(target)
    asked = {
        "kind": "export",
        "root": str(root),
        "run": str(run.path),
        "target": str(target.absolute()),
        "merged": merged,
        "dtype": dtype,
    }
    return Errand(target.absolute(), asked, run.path / "export.log", _python(run, python))


def combine_errand(
    root: Path,
    parts: Sequence[Part],
    *,
    how: How = "cat",
    rank: int | None = None,
    density: float = 0.2,
    name: str | None = None,
    python: str | None = None,
) -> Errand:
    """A new run folder of the project, whose adapter is the weighted sum of LoRA adapters on one base.

    `cat` is the exact sum, with the sum of the ranks; `svd` its best approximation of `rank` (the largest of theirs);
    `ties_svd` keeps the share `density` of each, drops what disagrees in sign, then as svd. Raises EngineError.
    """
    _check_parts(root, parts)
    if rank is not None and how == "cat":
        raise EngineError("cat gives the sum of the ranks", f"rank {rank} was asked for", "use svd or ties_svd")
    if not 0 < density <= 1:
        raise EngineError(f"A density of {density:g} is not a share", hint="above 0 and up to 1")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target = (root / "runs").resolve() / f"{stamp}-combine-{secrets.token_hex(2)}"
    asked = {
        "kind": "combine",
        "root": str(root),
        "parts": [{"run": str(part.run.path), "weight": part.weight} for part in parts],
        "target": str(target),
        "how": how,
        "rank": rank,
        "density": density,
        "name": name,
    }
    first = parts[0].run
    return Errand(target, asked, first.path / "export.log", _python(first, python))


def default_target(root: Path, run: RunFolder, merged: bool) -> Path:
    """Where an export goes when nothing else is said."""
    return root / "exports" / (f"{run.id}-merged" if merged else run.id)


def refuse_filled(target: Path) -> None:
    """Raise EngineError where the folder can't be made, or would be written over."""
    if target.is_dir():
        if any(target.iterdir()):
            raise EngineError(f"{target} is not empty", "nothing is written over", "name another folder")
    elif target.exists() or target.is_symlink():
        raise EngineError(f"{target} is there already", "it is not a folder", "name another folder")


def partial_of(target: Path) -> Path:
    """Where a folder is filled before it gets its name."""
    return target.with_name(f".{target.name}{PARTIAL_SUFFIX}")


def refuse_without_space(target: Path, needed: int) -> None:
    """Raise EngineError where `needed` bytes don't fit on the disk that `target` will lie on."""
    there = next(folder for folder in (target, *target.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise EngineError(
            f"There is not enough room for {target}",
            f"needs about {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            "free space, or name a folder on another disk",
        )


class ErrandWorker:
    """A worker that does one errand. It goes on when whoever started it ends, and leaves a whole folder or none."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False

    def run(self, on_phase: Callable[[str], object] = lambda phase: None) -> dict[str, Any]:
        """Do it to its end and give what the worker says of it; `on_phase` hears what it is about.

        Blocks: call it from a background thread. Raises EngineError for what went wrong.
        """
        process = self._start()
        if self._cancelled:
            self.cancel()
        answer: dict[str, Any] | None = None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if "phase" in said:
                    on_phase(str(said["phase"]))
                else:
                    answer = said
            process.wait()
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self._cancelled:
            raise EngineError("It was cancelled", f"nothing was written to {self.errand.target}")
        if answer is None:
            raise EngineError("The worker broke off", _tail(self.errand.log), f"its log: {self.errand.log}")
        if "error" in answer:
            raise EngineError(**answer["error"])
        return answer

    def cancel(self) -> None:
        """End it; what it has written is removed."""
        self._cancelled = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(CANCEL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            shutil.rmtree(partial_of(self.errand.target), ignore_errors=True)

    def _start(self) -> "subprocess.Popen[str]":
        errand = self.errand
        require_stack("export", errand.python)
        try:
            with errand.log.open("wb") as log:
                process = subprocess.Popen(
                    worker_command("export", python=errand.python),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    env=worker_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(
                "The worker can't be started", str(error), "set worker_python to a Python interpreter"
            ) from error
        self._process = process
        assert process.stdin is not None
        # Where it has died already, its log says why.
        with contextlib.suppress(BrokenPipeError), process.stdin as question:
            question.write(json.dumps(errand.asked))
        return process


def _check_parts(root: Path, parts: Sequence[Part]) -> None:
    if len(parts) < 2:
        raise EngineError("One adapter is no combination", hint="name two runs or more")
    if len({part.run for part in parts}) < len(parts):
        raise EngineError("A run is named twice", hint="give it one weight")
    for part in parts:
        refuse_uncombinable(result_of(part.run))
    bases = [_base_of(part.run, root) for part in parts]
    for part, base in zip(parts, bases, strict=True):
        if base != bases[0]:
            raise EngineError(
                "These adapters don't have one base model",
                f"{parts[0].run.id}: {bases[0][0]}\n{part.run.id}: {base[0]}",
                "rung adapters lists them by base",
            )
    tasks = {adapter_config(result_of(part.run)).get("task_type") for part in parts}
    if len(tasks) > 1:
        raise EngineError("A reward model can't be combined with a model that answers")


def _base_of(run: RunFolder, root: Path) -> tuple[str, str | None]:
    model = base_model(run, read_recipe(run), root)
    return str(model.get("name")), model.get("revision")


def _python(run: RunFolder, python: str | None) -> str | None:
    return read_recipe(run).get("worker_python") or python or None


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""


def combined_words(run: RunFolder) -> str:
    """`0.7 × sft-3f2a + 0.3 × sft-01be` for a combination, nothing for a run that was trained."""
    return sum_in_words([(str(part["run"]), float(part["weight"])) for part in read_combined(run).get("of", [])])


def sum_in_words(parts: Sequence[tuple[str, float]]) -> str:
    """A weighted sum of runs, by the ends of their ids."""
    return " + ".join(f"{weight:g} × {'-'.join(run.split('-')[2:]) or run}" for run, weight in parts)
