"""What a reward is given, and what a reward is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rung.engine.data.shapes import Message


@dataclass(frozen=True)
class RewardBatch:
    """Answers of the model with the prompts they answer; `rows` are the other columns of the prompts' rows."""

    prompts: Sequence[Sequence[Message]]
    completions: Sequence[str]
    references: Sequence[str | None]
    rows: Sequence[dict[str, Any]]
    lengths: Sequence[int]


@dataclass(frozen=True)
class Reward:
    """One term of the reward: its name on the curves, its weight, and its score of each answer (None: no score)."""

    name: str
    weight: float
    score: Callable[[RewardBatch], list[float | None]]
    needs_reference: bool = False
    close: Callable[[], None] = field(default=lambda: None)
