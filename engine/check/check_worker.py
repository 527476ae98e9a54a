"""The worker behind `rung check`: one JSON question on stdin, one JSON answer on stdout."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rung.engine.check.check_data import check_data, context_of
from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json
from rung.engine.data.hub import training_source, validation_source
from rung.engine.data.report import LoadedData, with_stops
from rung.engine.generation.free_memory import free_bytes
from rung.engine.jobs.slots import see_freest_gpu
from rung.engine.ladder.answers_in_documents import given_in_project
from rung.engine.machine.allocator import heap_here
from rung.engine.machine.gpus import Gpu
from rung.engine.models.forecast import forecast_memory
from rung.engine.models.load import generation_stop_ids, load_tokenizer, pick_device, read_template, resolve_dtype
from rung.engine.recipe.schema import Recipe
from rung.engine.training.footprint import longest_row, model_shape
from rung.engine.training.held_out_leaks import leak_refusals
from rung.engine.training.job import make_schedule
from rung.engine.training.launch_checks import context_refusals, disk_refusals, refusals
from rung.engine.training.methods import check_block, method_module, plan_of

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
    gpu = _attempt(problems, "devices", lambda: see_freest_gpu(recipe.devices))
    answer: dict[str, Any] = {"method": recipe.method, "problems": problems, "forecast": None, "data": {}}
    _attempt(problems, recipe.method, lambda: check_block(recipe, root))
    tokenizer = _attempt(problems, "model.name", lambda: load_tokenizer(recipe.model, root))
    limit = _attempt(problems, "model.name", lambda: context_of(recipe.model.name, root))
    _tell_refusals(problems, context_refusals(recipe, limit), recipe, "data.max_length")
    if tokenizer is None:
        return answer
    if not tokenizer.chat_template and "template" in recipe.overrides:
        tokenizer.chat_template = read_template("plain", root)
    train = _attempt(problems, "data.train", lambda: _load(recipe, training_source(recipe.data, root), tokenizer))
    if recipe.data.validation is not None or recipe.data.validation_split is not None:
        held = _attempt(
            problems, "data.validation", lambda: _load(recipe, validation_source(recipe.data, root), tokenizer)
        )
        if held is not None:
            answer["data"]["validation"] = held.report.to_json()
    if train is None:
        return answer
    train = with_stops(train, generation_stop_ids(recipe.model, root))
    answer["data"]["train"] = train.report.to_json()
    copied = _attempt(problems, "data.train", lambda: leak_refusals(recipe, root)) or {}
    _tell_refusals(problems, refusals(recipe, train) | copied, recipe)
    answer["warnings"] = [*_columns_passed_over(train), *given_in_project(root)]
    answer["plan"] = _attempt(problems, recipe.method, lambda: plan_of(recipe, root, train)) or []
    forecast = _attempt(problems, "model.name", lambda: _forecast(recipe, root, train, gpu))
    answer["forecast"] = forecast
    _check_disk(answer, recipe, root, problems)
    return answer


def _columns_passed_over(data: LoadedData) -> list[str]:
    """Columns that nothing is made of where that may matter: a label, a score, what may be the answer."""
    return [f"the column {each.name} isn't used: {each.why}" for each in data.report.unused if each.kind]


def _load(recipe: Recipe, path: Path | None, tokenizer: Any) -> LoadedData:
    assert path is not None
    return method_module(recipe.method).load_data(recipe, path, tokenizer)


def _forecast(recipe: Recipe, root: Path, train: LoadedData, gpu: Gpu | None) -> dict[str, Any]:
    device = pick_device()
    dtype = str(resolve_dtype(recipe.model, device)).removeprefix("torch.")
    longest = longest_row(recipe, train.report)
    shape, heap = model_shape(recipe.model, root), heap_here()
    parts = forecast_memory(shape, recipe, longest, dtype, device != "cpu", heap)
    on_gpu = {"device": "cpu"} if device == "cpu" else {"device": str(gpu or device), "free_bytes": free_bytes(device)}
    return {"memory_bytes": parts, "total_bytes": sum(parts.values()), "seconds": None} | on_gpu


def _check_disk(answer: dict[str, Any], recipe: Recipe, root: Path, problems: list[Problem]) -> None:
    """Room for the checkpoints: the weights that are trained, with AdamW's two moments."""
    if answer["forecast"] is None:
        return
    parts = answer["forecast"]["memory_bytes"]
    # Each of the two moments is as large as the weights that are trained.
    saved = parts["optimizer"] // 2
    held = answer["data"].get("validation")
    num_saves = make_schedule(recipe, answer["data"]["train"]["used"], held["used"] if held else 0).num_saves
    _tell_refusals(problems, disk_refusals(recipe, saved, parts["optimizer"], num_saves, root), recipe, "disk")


def _tell_refusals(
    problems: list[Problem], found: dict[str, EngineError], recipe: Recipe, field: str | None = None
) -> None:
    for name, error in found.items():
        if name not in recipe.overrides:
            problem = _problem(field or f"gate: {name}", error)
            problems.append(problem | {"hint": f"{error.hint}; or override it: overrides: [{name}]"})


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
