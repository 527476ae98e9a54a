"""Preferences from the user's own eyes: pairs ready for DPO and the reward model, and how often each candidate wins."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import append_json_line, read_json_lines

PREFERENCES_FILE = "preferences.jsonl"
TIES_FILE = "preferences-ties.jsonl"
ADDITIONS_FILE = "data/train-additions.jsonl"
Message = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Two candidates' answers to one prompt; `blind` when the user didn't see whose was which."""

    messages: Sequence[Message]
    candidates: tuple[str, str]
    answers: tuple[str, str]
    blind: bool
    decoding: Mapping[str, Any]


@dataclass(frozen=True)
class Tally:
    """How often `b` was preferred to `a`, of all choices between the two; `same` stands outside the rate."""

    a: str
    b: str
    a_wins: int
    b_wins: int
    same: int

    @property
    def win_rate(self) -> float | None:
        """Share of b's wins among the choices that preferred one; None without any."""
        decided = self.a_wins + self.b_wins
        return self.b_wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the win rate."""
        decided = self.a_wins + self.b_wins
        return wilson_interval(self.b_wins, decided) if decided else None


def save_preference(root: Path, choice: Choice, preferred: int) -> dict[str, Any]:
    """Append a pair to preferences.jsonl and give it: `preferred` is 0 or 1, the place in the choice.

    The row is conversational with an explicit prompt (prompt, chosen, rejected: lists of messages), as TRL's DPO and
    reward trainers take it. Raises EngineError when the answers are equal: nothing can be learned from such a pair.
    """
    if choice.answers[0] == choice.answers[1]:
        raise EngineError("Both answers are the same", hint="= marks them as equally good")
    chosen, rejected = preferred, 1 - preferred
    row = _head(choice) | {
        "chosen": [{"role": "assistant", "content": choice.answers[chosen]}],
        "rejected": [{"role": "assistant", "content": choice.answers[rejected]}],
        "candidates": {"chosen": choice.candidates[chosen], "rejected": choice.candidates[rejected]},
    }
    _append(root / PREFERENCES_FILE, row)
    return row


def save_tie(root: Path, choice: Choice) -> dict[str, Any]:
    """Append a choice without a winner to a file of its own: preferences.jsonl holds nothing but pairs."""
    row = _head(choice) | {"answers": list(choice.answers), "candidates": list(choice.candidates)}
    _append(root / TIES_FILE, row)
    return row


def save_training_row(root: Path, messages: Sequence[Message], answer: str) -> Path:
    """Append the prompt with this answer to data/train-additions.jsonl (shape: messages) and give the file."""
    path = root / ADDITIONS_FILE
    _append(path, {"messages": [*messages, {"role": "assistant", "content": answer}]})
    return path


def tally(root: Path, a: str, b: str) -> Tally:
    """All choices between two candidates that the project has kept."""
    pairs = [row.get("candidates") or {} for row in read_json_lines(root / PREFERENCES_FILE)]
    ties = [row.get("candidates") or [] for row in read_json_lines(root / TIES_FILE)]
    return Tally(
        a,
        b,
        _count(pairs, {"chosen": a, "rejected": b}),
        _count(pairs, {"chosen": b, "rejected": a}),
        sum(set(tie) == {a, b} for tie in ties),
    )


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson, 1927); z 1.96 gives 95 %. Raises ValueError without trials."""
    if trials <= 0:
        raise ValueError("a proportion needs at least one trial")
    rate = successes / trials
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    centre = rate + z * z / (2 * trials)
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _head(choice: Choice) -> dict[str, Any]:
    return {
        "prompt": list(choice.messages),
        "blind": choice.blind,
        "decoding": dict(choice.decoding),
        "time": round(time.time(), 3),
    }


def _count(pairs: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]) -> int:
    return sum(pair.get("chosen") == wanted["chosen"] and pair.get("rejected") == wanted["rejected"] for pair in pairs)


def _append(path: Path, row: Mapping[str, Any]) -> None:
    try:
        append_json_line(path, row)
    except OSError as error:
        raise EngineError(f"{path} can't be written", error.strerror or str(error), "free space on that disk") from None
