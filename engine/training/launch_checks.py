"""The gate before launch: what would make a training worthless is refused, unless overridden by name.

The names stand in the recipe's `overrides`; one that is used is told in a warning and stays in the run's recipe.
"""

import shutil
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.data.report import LoadedData
from rung.engine.jobs.events import Warned
from rung.engine.jobs.reporter import Reporter
from rung.engine.models.forecast import checkpoint_bytes
from rung.engine.recipe.schema import Recipe

# Methods that learn answers with their ends: without its stop token a tuned model talks on.
_LEARN_ANSWERS = ("sft", "distill")
CHANGES = ("recipe_changed", "data_changed")
"""Refusals that only a resumed run can meet."""


def refusals(recipe: Recipe, train: LoadedData) -> dict[str, EngineError]:
    """Reasons against these rows, by the name that overrides them."""
    found: dict[str, EngineError] = {}
    report = train.report
    if report.stop_token_trained == 0 and report.trained_tokens > 0 and recipe.method in _LEARN_ANSWERS:
        cut = report.answers_cut == report.used
        found["stop_token"] = EngineError(
            "The stop token is never among the trained tokens: the tuned model would not learn to end its answers",
            f"every answer is cut off by max_length {recipe.data.max_length}" if cut else f"model: {recipe.model.name}",
            "raise data.max_length" if cut else "use a chat template whose answers end in the stop token (plain does)",
        )
    if report.truncated == report.used:
        found["all_truncated"] = EngineError(
            f"Every row is longer than max_length {recipe.data.max_length}",
            f"the median row has {report.median_length} tokens",
            "raise data.max_length or shorten the rows",
        )
    return found


def context_refusals(recipe: Recipe, limit: int | None) -> dict[str, EngineError]:
    """Whether rows may be longer than the model was made for."""
    if limit is None or recipe.data.max_length <= limit:
        return {}
    return {
        "context": EngineError(
            f"data.max_length is {recipe.data.max_length}, but the model was made for {limit} tokens",
            f"model: {recipe.model.name}",
            f"set data.max_length to {limit} or less",
        )
    }


def disk_refusals(recipe: Recipe, saved: int, optimizer: int, num_saves: int, folder: Path) -> dict[str, EngineError]:
    """Whether `folder` has room for the checkpoints; `saved` and `optimizer` are bytes of one of them."""
    needed = checkpoint_bytes(saved, optimizer, recipe.training.save_total_limit, num_saves)
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return {}
    return {
        "disk": EngineError(
            "The disk has too little room for the checkpoints",
            f"they need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {folder}",
            "free space, or lower training.save_total_limit",
        )
    }


def refuse(found: dict[str, EngineError], recipe: Recipe, reporter: Reporter) -> None:
    """Raise the first refusal that the recipe doesn't override; tell of those it does."""
    for name, error in found.items():
        if name not in recipe.overrides:
            how = f"rung resume --override {name}" if name in CHANGES else f"--set 'overrides=[{name}]'"
            raise EngineError(error.message, error.details, f"{error.hint}; or override it: {how}")
        reporter.write(Warned(f"Overridden ({name}): {error.message}", error.details))
