"""Starting evaluations and climbs: a job folder below `evaluations/`, and a worker in a session of its own.

The folder is laid out as a run's: events.jsonl, worker.log, lock, requests; so it is followed and stopped in the same
way, and outlives whoever started it.
"""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_json_atomic
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.program import worker_environment
from rung.engine.jobs.requests import drop_requests
from rung.engine.jobs.spawn import spawn_worker
from rung.engine.jobs.stack import require_stack
from rung.engine.ladder.spec import RUNGS, CandidateSpec, Rung
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.training.models_wanted import models_of_answers, models_of_project, refuse_missing_models

JOB_FILE = "job.json"
RESULT_FILE = "result.json"


def start_evaluation(
    root: Path,
    specs: Sequence[CandidateSpec],
    split: Literal["validation", "test", "final"],
    rows: int | None = None,
    *,
    fetch: bool = False,
    python: str | None = None,
) -> RunFolder:
    """Evaluate candidates on a split; `result.json` in the folder given holds one row each.

    With `fetch` the worker brings models that are not on this machine; `python` is its interpreter, the project's where
    it is None. Raises EngineError, MissingModels and LacksStack among them.
    On `test` they are put on the scoreboard; on `validation` at most `rows` are answered, and nothing is decided;
    `final` breaks the seal of the final split.
    """
    if not fetch:
        _refuse_missing_models(root, specs)
    folder = RunFolder(_evaluations(root) / f"{time.strftime('%Y%m%d-%H%M%S')}-evaluate-{secrets.token_hex(2)}")
    python = python or load_project(root).worker_python
    require_stack("evaluate", python, root)
    job = {"kind": "evaluate", "split": split, "rows": rows, "specs": [spec.model_dump() for spec in specs]}
    return _start(root, folder, job, python)


def start_climb(
    root: Path,
    *,
    rungs: Sequence[Rung] = RUNGS,
    stop_early: bool = False,
    overrides: dict[str, Any] | None = None,
    fetch: bool = False,
    python: str | None = None,
) -> RunFolder:
    """Begin a climb of the project, or go on with one that was broken off; one that is going on is given as it is.

    `overrides` replaces fields of rung.yaml for this climb: target, margin, budget. With `fetch` the worker brings
    models that are not on this machine; `python` is its interpreter, the project's where it is None.
    Raises EngineError, MissingModels and LacksStack among them.
    """
    folder = climb_folder(root)
    if is_locked(folder.lock):
        return folder
    project = load_project(root)
    python = python or project.worker_python
    require_stack("evaluate", python, root, also=_of_documents(project) if "rag" in rungs else ())
    if "tune" in rungs and project.data.train is not None:
        for own in _pythons_of_recipes(root, project):
            require_stack("train", own or python, root)
    if not fetch:
        wanted = models_of_project(project, root, rag="rag" in rungs, tune="tune" in rungs)
        refuse_missing_models(wanted, root)
    job = {"kind": "climb", "rungs": list(rungs), "stop_early": stop_early, "overrides": overrides or {}}
    return _start(root, folder, job, python)


def climb_folder(root: Path) -> RunFolder:
    """Where the project's climb lies; there is one at a time."""
    return RunFolder(_evaluations(root) / "climb")


def _of_documents(project: ProjectSettings) -> tuple[str, ...]:
    return () if project.documents is None else ("lancedb", "semantic-text-splitter")


def _pythons_of_recipes(root: Path, project: ProjectSettings) -> set[str | None]:
    """The interpreters that the tune rung's recipes name; None for one that names none, or is yet to be written."""
    files = [root / name for name in (project.tune.recipe, *project.tune.also)]
    return {load_recipe(file).worker_python if file.exists() else None for file in files}


def _refuse_missing_models(root: Path, specs: Sequence[CandidateSpec]) -> None:
    project = load_project(root)
    for spec in specs:
        if spec.endpoint is None:
            refuse_missing_models(models_of_answers(spec.model, spec.retrieval, project), root)


def _evaluations(root: Path) -> Path:
    return root.resolve() / "evaluations"


def _start(root: Path, folder: RunFolder, job: dict[str, Any], python: str | None) -> RunFolder:
    try:
        folder.requests.mkdir(parents=True, exist_ok=True)
        drop_requests(folder)
        write_json_atomic(folder.path / JOB_FILE, job)
        spawn_worker("evaluate", folder, "The evaluation", root, python, _environment())
    except OSError as error:
        raise EngineError(f"The evaluation can't be started in {folder.path}", str(error)) from error
    return folder


def _environment() -> dict[str, str]:
    # Answers of small models are many short parallel sections; threads that spin between them starve each other
    # wherever the machine has other work, at up to a hundred times the wall time.
    return {"OMP_WAIT_POLICY": "PASSIVE"} | worker_environment()
