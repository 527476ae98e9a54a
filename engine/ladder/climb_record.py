"""What a climb keeps beside answers and scores: time and tokens spent, rungs skipped and why, the runs it trained."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.ladder.spec import Rung


@dataclass
class ClimbRecord:
    """The record of one climb over all its sessions. `key` names what it was asked for: another key begins anew.

    `began` is what was spent when a rung began, in seconds and tokens: its share of the budget counts from there.
    """

    path: Path
    key: str
    seconds: float = 0.0
    tokens: int = 0
    skipped: dict[Rung, str] = field(default_factory=dict)
    failed: dict[Rung, str] = field(default_factory=dict)
    out_of_budget: list[Rung] = field(default_factory=list)
    began: dict[Rung, tuple[float, float]] = field(default_factory=dict)
    retrieval: dict[str, Any] | None = None
    learning_curve: list[tuple[int, float]] = field(default_factory=list)
    learning_gain: dict[str, Any] | None = None
    runs: list[str] = field(default_factory=list)
    finished: bool = False

    def forget(self, rung: Rung) -> None:
        """Drop why a rung was not measured: it is its turn again."""
        self.skipped.pop(rung, None)
        self.failed.pop(rung, None)
        self.out_of_budget = [other for other in self.out_of_budget if other != rung]

    def save(self) -> None:
        """Replace the file."""
        value = asdict(self)
        del value["path"]
        write_json_atomic(self.path, value)


def open_record(path: Path, key: str) -> ClimbRecord:
    """The record of the unfinished climb of this key, or a fresh one."""
    if path.exists():
        value = read_json(path)
        if value.get("key") == key and not value.get("finished"):
            return ClimbRecord(path, **value)
    return ClimbRecord(path, key)
