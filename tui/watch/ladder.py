"""What each rung of the project's ladder has reached, read from its scoreboard."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from rung.engine.ladder.board_file import is_current

Rung = Literal["prompt", "rag", "tune"]
RUNGS: tuple[Rung, ...] = ("prompt", "rag", "tune")


@dataclass(frozen=True)
class Standing:
    """One rung: its best candidate's score and 95 % interval, or None where nothing is measured."""

    rung: Rung
    score: float | None = None
    low: float | None = None
    high: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Ladder:
    """The three rungs, lowest first, with the metric they are scored by and the user's target."""

    standings: tuple[Standing, ...] = tuple(Standing(rung) for rung in RUNGS)
    metric: str = ""
    target: float | None = None
    verdict: str = ""


def ladder_state(root: Path) -> Ladder:
    """The ladder of the project in `root`: `scoreboard.json`, and the target of `rung.yaml`; empty without them."""
    board = _read_board(root / "scoreboard.json")
    every = [row for row in board.get("scoreboard") or [] if isinstance(row, dict)]
    # A model that learned from held-out rows, or another one behind an endpoint, stands for no rung.
    rows = [row for row in every if not row.get("leaked") and not row.get("endpoint")]
    # An earlier version's verdict may have claimed too much: the scoreboard judges it anew, the rail leaves it out.
    verdict = board.get("verdict") if is_current(board) else None
    chosen = str(verdict.get("rung", "")) if isinstance(verdict, dict) else ""
    better = max if board.get("more_is_better", True) else min
    standings = tuple(_standing(rung, rows, chosen, better) for rung in RUNGS)
    metric = next((str(row["metric"]) for row in rows if row.get("metric")), "")
    return Ladder(standings, metric, _target(root / "rung.yaml"), chosen)


def _standing(rung: Rung, rows: list[dict[str, Any]], chosen: str, better: Any) -> Standing:
    """The rung's chosen candidate, or its best where none was chosen."""
    there = [row for row in rows if row.get("rung") == rung and isinstance(row.get("score"), (int, float))]
    scored = [row for row in there if row.get("chosen")] or there
    if not scored:
        return Standing(rung)
    best = better(scored, key=lambda row: float(row["score"]))
    return Standing(rung, float(best["score"]), _number(best.get("low")), _number(best.get("high")), chosen == rung)


def _read_board(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _target(path: Path) -> float | None:
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return _number(value.get("target")) if isinstance(value, dict) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
