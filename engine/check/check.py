"""`rung check`: what a data file holds, and what would stop a recipe from being launched.

The work is done in a worker, so that neither the screens nor the command line import the training stack.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.stack import require_stack
from rung.engine.project.follow import load_fitted
from rung.engine.project.load import load_project, python_of_project
from rung.engine.recipe.load import load_recipe

if TYPE_CHECKING:
    from rung.engine.project.schema import ProjectSettings


def check_recipe(path: Path, root: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """{"method", "problems": [{"field", "reason", "hint"}], "forecast", "data", …} as CONTRACTS says.

    Raises EngineError when the recipe itself can't be read.
    """
    recipe = load_fitted(path, overrides)
    asked = {"kind": "recipe", "recipe": recipe.model_dump(), "root": str(root)}
    return _ask(asked, recipe.worker_python or python_of_project(root))


def check_data(
    path: Path | str,
    root: Path,
    model: dict[str, Any] | None = None,
    max_length: int | None = None,
    python: str | None = None,
    shape: str = "auto",
    **options: Any,
) -> dict[str, Any]:
    """{"shape", "rows", "used", "trained_tokens", "truncated", "problems", …} under a model's tokenizer (pocket's).

    Further options are `data_question`'s.
    """
    return _ask(data_question(path, root, model, max_length=max_length, shape=shape, **options), python)


def data_question(
    path: Path | str,
    root: Path,
    model: dict[str, Any] | None = None,
    *,
    max_length: int | None = None,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    loss_on: str = "assistant",
    held_out: str | None = None,
    label: str | None = None,
    used_elsewhere: Sequence[str] = (),
    **hub: Any,
) -> dict[str, Any]:
    """What the worker is to read, and how: a file, a folder or a hub id, under the model's tokenizer (pocket's).

    `max_length` null is the model's context; `held_out` is the file of the held-out rows, `label` the column with a
    class; columns `used_elsewhere` aren't told as unused; `hub` may hold split, revision, streaming and max_rows as a
    recipe's `data` has them.
    """
    return {
        "kind": "data",
        "path": str(path),
        "root": str(root),
        "model": model or {"name": "pocket"},
        "max_length": max_length,
        "shape": shape,
        "columns": columns or {},
        "loss_on": loss_on,
        "held_out": held_out,
        "label": label,
        "used_elsewhere": [*used_elsewhere],
        **hub,
    }


def project_question(root: Path, split: str = "train") -> dict[str, Any]:
    """`data_question` for one of the project's splits, read as its recipe reads it. Raises EngineError without any."""
    project = load_project(root)
    path = getattr(project.data, split)
    if path is None:
        raise EngineError(
            f"The project has no {split} rows",
            f"rung.yaml: data.{split} is null",
            "the wizard's data page splits a file",
        )
    file = root / project.tune.recipe
    recipe = load_recipe(file) if file.exists() else None
    return data_question(
        path,
        root,
        (recipe.model if recipe is not None else project.model).model_dump(),
        max_length=recipe.data.max_length if recipe is not None else None,
        shape=project.data.shape,
        columns=project.data.columns,
        loss_on=recipe.data.loss_on if recipe is not None else "assistant",
        held_out=project.data.test,
        label=project.data.label,
        used_elsewhere=used_elsewhere(project),
    )


def used_elsewhere(project: "ProjectSettings") -> list[str]:
    """Columns that the project makes something of beside turns: by which rows are split, found and scored."""
    data = project.data
    references = [metric.get("references") for metric in project.metrics if isinstance(metric, dict)]
    return [name for name in (data.gold, data.group_by, data.label, data.time_by, *references) if name]


def _ask(asked: dict[str, Any], python: str | None) -> dict[str, Any]:
    require_stack("check", python, Path(asked["root"]))
    done = subprocess.run(
        worker_command("check", python=python),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=worker_environment(),
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise EngineError("The check broke off", done.stderr[-2000:], "rung doctor checks the set-up") from None
    if "error" in answer:
        raise EngineError(**answer["error"])
    return answer
