"""What a run cost: its time, and what the model forgot."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.jobs.reader import read_run
from rung.engine.recipe.load import load_recipe
from rung.engine.training.probe.forgot import forgot


@dataclass(frozen=True)
class TrainingCost:
    """Seconds of training with those of the runs behind it, and the relative growth of the probe's perplexity.

    0.02 is 2 %; `forgot` is all that the probe says of this run alone. None where unknown.
    """

    seconds: float | None
    forgetting: float | None
    forgot: dict[str, Any] | None = None


def training_cost(root: Path, run: str) -> TrainingCost:
    """The cost of one of the project's runs; unknown where its folder is gone."""
    try:
        state, _ = read_run(find_run(root, run))
    except EngineError:
        return TrainingCost(None, None)
    return TrainingCost(_seconds(root, run), perplexity_growth(state.result), forgot(state.result))


def _seconds(root: Path, run: str) -> float | None:
    """Seconds of the run and of every run behind it; None where one of them is gone or not over."""
    total, waiting, seen = 0.0, [run], set[str]()
    while waiting:
        name = waiting.pop()
        try:
            folder = find_run(root, name)
            state, _ = read_run(folder)
        except EngineError:
            return None
        if folder.id in seen:
            continue
        seen.add(folder.id)
        seconds = state.seconds_worked() if state.over else None
        if seconds is None:
            return None
        total += seconds
        waiting += _runs_behind(folder)
    return total


def _runs_behind(folder: RunFolder) -> list[str]:
    """The run that it was started from, and the reward models that it learned from."""
    try:
        recipe = load_recipe(folder.recipe)
    except EngineError:
        return []
    kind, _, name = (recipe.start_from or "").partition(":")
    rewards = recipe.method_block().get("rewards")
    models = [item["run"] for item in rewards if isinstance(item, dict) and item.get("run")] if rewards else []
    return [*([name] if kind == "run" and name else []), *map(str, models)]


def perplexity_growth(result: Mapping[str, Any]) -> float | None:
    """Relative growth of the probe's perplexity, from a run's last event; None where it was not measured."""
    # The probe's loss is the logarithm of its perplexity.
    loss = (result.get("forgetting") or {}).get("loss")
    return math.exp(loss) - 1 if isinstance(loss, (int, float)) else None
