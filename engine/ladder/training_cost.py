"""What a run cost: its time, and what the model forgot."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.runs.folder import find_run
from engine.runs.reader import read_run


@dataclass(frozen=True)
class TrainingCost:
    """Seconds of training, and the relative growth of the probe's perplexity (0.02 = 2 %); None where unknown."""

    seconds: float | None
    forgetting: float | None


def training_cost(root: Path, run: str) -> TrainingCost:
    """The cost of one of the project's runs; unknown where its folder is gone."""
    try:
        state, _ = read_run(find_run(root, run))
    except EngineError:
        return TrainingCost(None, None)
    seconds = state.seconds_worked() if state.over else None
    return TrainingCost(seconds, perplexity_growth(state.result))


def perplexity_growth(result: Mapping[str, Any]) -> float | None:
    """Relative growth of the probe's perplexity, from a run's last event; None where it was not measured."""
    # The probe's loss is the logarithm of its perplexity.
    loss = (result.get("forgetting") or {}).get("loss")
    return math.exp(loss) - 1 if isinstance(loss, (int, float)) else None
