"""A climb as its events tell it: which rung is on, how far, how long still, and how it ended; for whoever shows it."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rung.engine.jobs.reader import RunReader
from rung.engine.ladder.launch import climb_folder
from rung.engine.ladder.spec import RUNGS

RungStatus = Literal["waiting", "going", "through", "skipped", "failed"]
GOES_ON = frozenset({"queued", "running", "stopping"})


@dataclass
class RungState:
    """One rung of a climb. `total` and `seconds_left` are None while nobody knows; `why` it was skipped or failed.

    Of a rung that waits `seconds_left` is what its answers take, without a training.
    """

    status: RungStatus = "waiting"
    done: int = 0
    total: int | None = None
    unit: str = ""
    seconds_left: float | None = None
    why: str = ""


@dataclass
class ClimbState:
    """The fold of a climb's events. `status` is the state word of its job; `rungs` is empty before the first one."""

    status: str = "queued"
    rungs: dict[str, RungState] = field(default_factory=dict)
    message: str = ""
    decided: bool = False

    @property
    def going(self) -> bool:
        """Whether its worker is at it, or waits for its turn."""
        return self.status in GOES_ON

    @property
    def broken_off(self) -> bool:
        """Whether it ended before its verdict."""
        return not self.going and not self.decided

    def take(self, event: dict[str, Any]) -> None:
        """Fold one event; a new session begins anew, and fields of another kind are passed over."""
        kind, rung = event.get("type"), event.get("rung")
        if kind == "queued":
            self.rungs, self.message, self.decided = {}, "", False
        elif kind == "decided":
            self._leave()
            self.decided = True
        elif kind in ("failed", "stopped", "cancelled", "preempted"):
            self.message = str(event.get("message") or event.get("reason") or "")
        elif rung not in RUNGS:
            return
        elif kind == "rung_progress":
            self._progress(str(rung), event)
        elif kind == "skipped":
            self._rung(str(rung), "skipped", str(event.get("why", "")))
        elif kind == "rung_failed":
            self._rung(str(rung), "failed", str(event.get("message", "")))

    def _progress(self, rung: str, event: dict[str, Any]) -> None:
        wanted = event.get("rungs")
        for name in wanted if isinstance(wanted, list) else ():
            if name in RUNGS:
                self.rungs.setdefault(name, RungState())
        known = self.rungs.setdefault(rung, RungState())
        if known.status != "going":
            self._leave()
        later = event.get("seconds_later")
        for name, state in self.rungs.items():
            if state.status == "waiting" and isinstance(later, dict):
                state.seconds_left = _number(later.get(name))
        done, total = event.get("done"), event.get("total")
        known.status, known.unit = "going", str(event.get("unit", ""))
        known.done = done if isinstance(done, int) else 0
        known.total = total if isinstance(total, int) else None
        known.seconds_left = _number(event.get("seconds_left"))

    def _rung(self, rung: str, status: RungStatus, why: str) -> None:
        self.rungs[rung] = RungState(status, why=why)

    def _leave(self) -> None:
        for state in self.rungs.values():
            if state.status == "going":
                state.status, state.seconds_left = "through", None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


class ClimbReader:
    """Follows the project's climb; `look` reads what is new, for a background thread."""

    def __init__(self, root: Path) -> None:
        self._reader = RunReader(climb_folder(root))
        self._state = ClimbState()

    def look(self) -> ClimbState | None:
        """The climb as it is now; None where there never was one."""
        while events := self._reader.refresh():
            for event in events:
                self._state.take(event)
        if self._reader.state.sequence < 0:
            return None
        self._state.status = self._reader.status()
        return deepcopy(self._state)


def read_climb(root: Path) -> ClimbState | None:
    """The project's climb as it is now, or None where there never was one."""
    return ClimbReader(root).look()
