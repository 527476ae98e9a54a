"""The worker behind `rung check`: one JSON question on stdin, one JSON answer on stdout."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.data.hub import training_source, validation_source
from engine.data.report import LoadedData
from engine.errors import EngineError
from engine.files import canonical_json
from engine.forecast import forecast_memory, shape_of_folder
from engine.methods import check_block, method_module
from engine.models import load_tokenizer, model_source, pick_device, resolve_dtype
from engine.recipe.schema import Recipe
from engine.worker.check_data import check_data, context_of
from engine.worker.gate import refusals

Problem = dict[str, str]


def main() -> int:
    """Answer the question on stdin. What libraries print goes to stderr, so that stdout holds the answer alone."""
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    try:
        answer = check_data(asked) if asked["kind"] == "data" else _check_recipe(asked)
    except EngineError as error:
        answer = {"error": {"message": error.message, "details": error.details, "hint": error.hint}}
    json.dump(answer, answer_stream)
    answer_stream.close()
    return 0


def _check_recipe(asked: dict[str, Any]) -> dict[str, Any]:
    root = Path(asked["root"])
    recipe = Recipe.model_validate(asked["recipe"])
    problems: list[Problem] = []
    answer: dict[str, Any] = {"method": recipe.method, "problems": problems, "forecast": None, "data": {}}
    _attempt(problems, recipe.method, lambda: check_block(recipe, root))
    tokenizer = _attempt(problems, "model.name", lambda: load_tokenizer(recipe.model, root))
    limit = _attempt(problems, "model.name", lambda: context_of(recipe.model.name, root))
    if limit is not None and recipe.data.max_length > limit:
        reason = f"{recipe.data.max_length} tokens, but the model was made for {limit}"
        problems.append({"field": "data.max_length", "reason": reason, "hint": f"set it to {limit} or less"})
    if tokenizer is None:
        return answer
    train = _attempt(problems, "data.train", lambda: _load(recipe, training_source(recipe.data, root), tokenizer))
    if recipe.data.validation is not None or recipe.data.validation_split is not None:
        held = _attempt(
            problems, "data.validation", lambda: _load(recipe, validation_source(recipe.data, root), tokenizer)
        )
        if held is not None:
            answer["data"]["validation"] = held.report.to_json()
    if train is None:
        return answer
    answer["data"]["train"] = train.report.to_json()
    for name, error in refusals(recipe, train).items():
        if name not in recipe.overrides:
            problems.append(_problem(f"gate: {name}", error))
    forecast = _attempt(problems, "model.name", lambda: _forecast(recipe, root, train))
    answer["forecast"] = forecast
    _check_disk(answer, root, problems)
    return answer


def _load(recipe: Recipe, path: Path | None, tokenizer: Any) -> LoadedData:
    assert path is not None
    return method_module(recipe.method).load_data(recipe, path, tokenizer)


def _forecast(recipe: Recipe, root: Path, train: LoadedData) -> dict[str, Any] | None:
    source = Path(model_source(recipe.model.name, root))
    if not source.is_dir():
        return None
    dtype = str(resolve_dtype(recipe.model, pick_device())).removeprefix("torch.")
    parts = forecast_memory(shape_of_folder(source), recipe, train.report.longest, dtype)
    return {"memory_bytes": parts, "total_bytes": sum(parts.values()), "seconds": None}


def _check_disk(answer: dict[str, Any], root: Path, problems: list[Problem]) -> None:
    """Room for the checkpoints: weights that are trained, with AdamW's two moments, for each one kept at a time."""
    if answer["forecast"] is None:
        return
    parts = answer["forecast"]["memory_bytes"]
    one = (parts["adapter"] or parts["weights"]) + parts["optimizer"]
    needed = 4 * one  # two kept, the best, and the one being written
    free = shutil.disk_usage(root).free
    if free < needed:
        problems.append(
            {
                "field": "disk",
                "reason": f"checkpoints need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {root}",
                "hint": "free space, or lower training.save_total_limit",
            }
        )


def _attempt(problems: list[Problem], field: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except EngineError as error:
        problem = _problem(field, error)
        if canonical_json(problem) not in {canonical_json(known) for known in problems}:
            problems.append(problem)
        return None


def _problem(field: str, error: EngineError) -> Problem:
    reason = f"{error.message}: {error.details}" if error.details else error.message
    return {"field": field, "reason": reason, "hint": error.hint}
