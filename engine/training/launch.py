"""Starting and resuming runs: the folder, the resolved recipe, and a worker in a session of its own."""

from collections.abc import Sequence
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_text_atomic
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import RunReader
from rung.engine.jobs.requests import Request as Request
from rung.engine.jobs.requests import drop_requests
from rung.engine.jobs.requests import request as request
from rung.engine.jobs.spawn import spawn_worker
from rung.engine.jobs.stack import LacksStack, require_stack
from rung.engine.machine.gpus import refuse_wrong_devices
from rung.engine.project.load import python_of_project
from rung.engine.recipe.load import build_recipe, dump_recipe, load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.missing_files import refuse_missing
from rung.engine.training.models_wanted import models_of_recipe, refuse_missing_models
from rung.engine.training.named_runs import with_runs_named


def start_run(recipe: Recipe, root: Path, *, fetch: bool = False) -> RunFolder:
    """Start a recipe in a worker of its own and give the run's folder once the worker is alive.

    `root` is the folder that the recipe's paths start from. With `fetch` the worker brings models that are not on this
    machine, before it waits for its device. Blocks for a moment: call it from a background thread.
    Raises EngineError when something that the recipe names isn't there (MissingModels for models at the hub), the
    folder can't be made, or the worker dies at once.
    """
    recipe = recipe.model_copy(update={"worker_python": _able_python(recipe, root)})
    refuse_wrong_devices(recipe.devices)
    refuse_missing(recipe, root)
    recipe = with_runs_named(recipe, root)
    if not fetch:
        refuse_missing_models(models_of_recipe(recipe, root), root)
    folder = new_run_folder(root, recipe.method)
    try:
        write_text_atomic(folder.recipe, dump_recipe(recipe))
    except OSError as error:
        raise EngineError(
            f"The recipe can't be written to {folder.path}", str(error), "free space on that disk"
        ) from error
    _spawn(folder, recipe.worker_python)
    return folder


def resume_run(folder: RunFolder, overrides: Sequence[str] = (), python: str | None = None) -> None:
    """Go on with a run that is not alive, from its last complete checkpoint, or from the start where there is none.

    `overrides` are refusals of the gate to pass over from now on; they are added to the run's recipe. `python` is
    another interpreter for its worker.
    """
    if is_locked(folder.lock):
        raise EngineError(f"{folder.id} is going on already", hint="rung watch shows it")
    state = RunReader(folder).catch_up()
    if state.status == "finished":
        raise EngineError(f"{folder.id} is finished", hint="start_from: run:ID in a new recipe goes on from its result")
    recipe = load_recipe(folder.recipe)
    if python is not None:
        recipe = recipe.model_copy(update={"worker_python": python})
    able = _able_python(recipe, root_of(folder))
    if able != load_recipe(folder.recipe).worker_python:
        recipe = recipe.model_copy(update={"worker_python": able})
        write_text_atomic(folder.recipe, dump_recipe(recipe))
    if overrides:
        every = list(dict.fromkeys([*recipe.overrides, *overrides]))
        recipe = build_recipe(recipe.model_dump(exclude_unset=True) | {"overrides": every}, "the overrides")
        write_text_atomic(folder.recipe, dump_recipe(recipe))
    drop_requests(folder)
    _spawn(folder, recipe.worker_python)


def root_of(folder: RunFolder) -> Path:
    """The project folder of a run: `runs/` lies in it."""
    return folder.path.parent.parent


def _able_python(recipe: Recipe, root: Path) -> str | None:
    """The interpreter of the run's worker: the recipe's, else the project's; the project's too where the recipe's lacks
    what it needs, since a person who was told so takes another for the project. Raises LacksStack."""
    own, project = recipe.worker_python, python_of_project(root)
    also = () if recipe.model.quantization == "none" else ("bitsandbytes",)
    try:
        require_stack("train", own or project, root, also)
    except LacksStack:
        if own is None or project in (None, own):
            raise
        require_stack("train", project, root, also)
        return project
    return own or project


def _spawn(folder: RunFolder, python: str | None) -> None:
    spawn_worker("train", folder, f"The worker of {folder.id}", root_of(folder), python)
