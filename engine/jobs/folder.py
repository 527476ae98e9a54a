"""One run's folder: where its files lie, how runs are named, and how a person's RUN is found."""

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import is_folder


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; `path` is absolute."""

    path: Path

    @property
    def id(self) -> str:
        """The run id: YYYYMMDD-HHMMSS-METHOD-xxxx."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "worker.log"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def requests(self) -> Path:
        return self.path / "requests"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        return self.path / "report.md"

    @property
    def method(self) -> str:
        """The method's word inside the id."""
        parts = self.id.split("-")
        return parts[2] if len(parts) >= 4 else "run"

    def artifact(self) -> Path | None:
        """The folder of the chosen checkpoint (adapter/ or model/), once it is there."""
        for name in ("adapter", "model"):
            if (self.path / name).is_dir():
                return self.path / name
        return None


def new_run_folder(root: Path, method: str) -> RunFolder:
    """A fresh, empty run folder `root/runs/ID`."""
    runs_dir = root / "runs"
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        while True:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            path = runs_dir / f"{stamp}-{method}-{secrets.token_hex(2)}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            (path / "requests").mkdir()
            return RunFolder(path.resolve())
    except OSError as error:
        raise EngineError(
            f"No run folder can be made in {runs_dir}",
            error.strerror or str(error),
            "free space or choose another folder",
        ) from error


def list_runs(root: Path) -> list[RunFolder]:
    """All runs below `root/runs`, oldest first (the id sorts by time)."""
    try:
        with os.scandir(root / "runs") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    return [RunFolder((root / "runs" / name).resolve()) for name in names]


def find_run(root: Path, wanted: str) -> RunFolder:
    """The run that `wanted` names: an id, a unique prefix or end of one, a path, or `last`. Raises EngineError."""
    as_path = Path(wanted)
    if is_folder(as_path) and (as_path / "recipe.yaml").exists():
        return RunFolder(as_path.resolve())
    runs = list_runs(root)
    if wanted == "last":
        if not runs:
            raise EngineError(f"There is no run in {root}", hint="start one with: rung run RECIPE")
        return runs[-1]
    exact = [run for run in runs if run.id == wanted]
    matches = exact or [run for run in runs if run.id.startswith(wanted) or run.id.endswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        known = ", ".join(run.id for run in runs[-5:]) or "none"
        raise EngineError(f"No run is called {wanted!r}", f"runs in {root}: {known}", "rung runs lists them")
    raise EngineError(
        f"{wanted!r} fits {len(matches)} runs", "\n".join(run.id for run in matches[:10]), "give more of the id"
    )
