"""Runs that a recipe names by the recipe they were started from, or by a short name, as whole ids."""

import shlex
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder, find_run, list_runs
from rung.engine.jobs.reader import read_run
from rung.engine.project.follow import load_fitted
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import Recipe

# What two runs of one recipe may differ in.
_NOT_COMPARED = {"name", "tags", "overrides", "worker_python", "report_to", "devices"}


def with_runs_named(recipe: Recipe, root: Path) -> Recipe:
    """The recipe with every run that it names (`start_from`, reward models) as a whole id.

    `last`, the beginning of an id, or a recipe's file would name another run later on. Raises EngineError where there
    is no such run.
    """
    changes: dict[str, Any] = {}
    kind, _, name = (recipe.start_from or "").partition(":")
    if kind == "run" and name:
        changes["start_from"] = f"run:{_whole_name(root, name)}"
    block = recipe.method_block()
    if isinstance(block.get("rewards"), list):
        changes[recipe.method] = {**block, "rewards": [_reward_named(item, root) for item in block["rewards"]]}
    return recipe.model_copy(update=changes)


def recipe_of(root: Path, wanted: str) -> Path:
    """The recipe of the run that `wanted` names; a recipe's file need not have been run yet."""
    return root / wanted if _is_recipe(wanted) else find_run(root, wanted).recipe


def named_run(root: Path, wanted: str) -> RunFolder:
    """The run that `wanted` names: as `find_run` has it, or a recipe's file for the newest finished run of it."""
    if _is_recipe(wanted):
        return _newest_of_recipe(root, wanted)
    return find_run(root, wanted)


def _is_recipe(wanted: str) -> bool:
    return wanted.endswith((".yaml", ".yml"))


def _newest_of_recipe(root: Path, file: str) -> RunFolder:
    wanted = _compared(with_runs_named(load_fitted(root / file), root))
    for folder in reversed(list_runs(root)):
        if not folder.recipe.exists() or folder.artifact() is None or read_run(folder)[0].status != "finished":
            continue
        if _compared(load_recipe(folder.recipe)) == wanted:
            return folder
    raise EngineError(
        f"There is no finished run of {file}", f"in {root / 'runs'}", f"rung run {shlex.quote(str(file))} makes one"
    )


def _compared(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=_NOT_COMPARED)


def _reward_named(item: Any, root: Path) -> Any:
    if isinstance(item, dict) and item.get("name") == "model" and isinstance(item.get("run"), str):
        return {**item, "run": _whole_name(root, item["run"])}
    return item


def _whole_name(root: Path, name: str) -> str:
    run = named_run(root, name)
    is_own = run.path.parent == (root / "runs").resolve()
    return run.id if is_own else str(run.path)
