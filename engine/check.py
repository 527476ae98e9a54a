"""`rung check`: what a data file holds, and what would stop a recipe from being launched.

The work is done in a worker, so that neither the screens nor the command line import the training stack.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.program import worker_command, worker_environment
from engine.recipe.load import load_recipe


def check_recipe(path: Path, root: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """{"method", "problems": [{"field", "reason", "hint"}], "forecast", "data", …} as CONTRACTS says.

    Raises EngineError when the recipe itself can't be read.
    """
    recipe = load_recipe(path, overrides)
    asked = {"kind": "recipe", "recipe": recipe.model_dump(), "root": str(root)}
    return _ask(asked, recipe.worker_python)


def check_data(
    path: Path,
    root: Path,
    model: dict[str, Any] | None = None,
    max_length: int | None = None,
    python: str | None = None,
    shape: str = "auto",
) -> dict[str, Any]:
    """{"shape", "rows", "used", "trained_tokens", "truncated", "problems", …} under a model's tokenizer (pocket's)."""
    asked = {
        "kind": "data",
        "path": str(path),
        "root": str(root),
        "model": model or {"name": "pocket"},
        "max_length": max_length,
        "shape": shape,
    }
    return _ask(asked, python)


def _ask(asked: dict[str, Any], python: str | None) -> dict[str, Any]:
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
