"""Starting evaluations and climbs: a job folder below `evaluations/`, and a worker in a session of its own.

The folder is laid out as a run's: events.jsonl, worker.log, lock, requests; so it is followed and stopped in the same
way, and outlives whoever started it.
"""

import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from engine.errors import EngineError
from engine.files import write_json_atomic
from engine.ladder.spec import RUNGS, CandidateSpec, Rung
from engine.program import worker_command, worker_environment
from engine.project.load import load_project
from engine.runs.folder import RunFolder
from engine.runs.lock import is_locked
from engine.runs.reader import log_tail
from engine.runs.requests import drop_requests

JOB_FILE = "job.json"
RESULT_FILE = "result.json"
START_SECONDS = 30.0


def start_evaluation(
    root: Path, specs: Sequence[CandidateSpec], split: Literal["validation", "test", "final"], rows: int | None = None
) -> RunFolder:
    """Evaluate candidates on a split; `result.json` in the folder given holds one row each. Raises EngineError.

    On `test` they are put on the scoreboard; on `validation` at most `rows` are answered, and nothing is decided;
    `final` breaks the seal of the final split.
    """
    folder = RunFolder(_evaluations(root) / f"{time.strftime('%Y%m%d-%H%M%S')}-evaluate-{secrets.token_hex(2)}")
    job = {"kind": "evaluate", "split": split, "rows": rows, "specs": [spec.model_dump() for spec in specs]}
    return _start(root, folder, job)


def start_climb(
    root: Path, *, rungs: Sequence[Rung] = RUNGS, stop_early: bool = False, overrides: dict[str, Any] | None = None
) -> RunFolder:
    """Begin a climb of the project, or go on with one that was broken off; one that is going on is given as it is.

    `overrides` replaces fields of rung.yaml for this climb: target, margin, budget. Raises EngineError.
    """
    folder = climb_folder(root)
    if is_locked(folder.lock):
        return folder
    load_project(root)
    job = {"kind": "climb", "rungs": list(rungs), "stop_early": stop_early, "overrides": overrides or {}}
    return _start(root, folder, job)


def climb_folder(root: Path) -> RunFolder:
    """Where the project's climb lies; there is one at a time."""
    return RunFolder(_evaluations(root) / "climb")


def _evaluations(root: Path) -> Path:
    return root.resolve() / "evaluations"


def _start(root: Path, folder: RunFolder, job: dict[str, Any]) -> RunFolder:
    try:
        folder.requests.mkdir(parents=True, exist_ok=True)
        drop_requests(folder)
        write_json_atomic(folder.path / JOB_FILE, job)
        _spawn(root, folder, load_project(root).worker_python)
    except OSError as error:
        raise EngineError(f"The evaluation can't be started in {folder.path}", str(error)) from error
    return folder


def _environment() -> dict[str, str]:
    # Answers of small models are many short parallel sections; threads that spin between them starve each other
    # wherever the machine has other work, at up to a hundred times the wall time.
    return {"OMP_WAIT_POLICY": "PASSIVE"} | worker_environment()


def _spawn(root: Path, folder: RunFolder, python: str | None) -> None:
    events_before = folder.events.stat().st_size if folder.events.exists() else 0
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            worker_command("evaluate", str(folder.path), python=python),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=root,
            env=_environment(),
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if folder.events.exists() and folder.events.stat().st_size > events_before:
            return
        if process.poll() is not None:
            raise EngineError("The evaluation ended at once", log_tail(folder, 2000), "rung doctor checks the set-up")
        time.sleep(0.02)
    raise EngineError("The evaluation gives no sign of life", log_tail(folder, 2000), f"see {folder.log}")
