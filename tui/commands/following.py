"""Following a run from the command line: its events as lines until it ends."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rung.engine.jobs.fold import RunState
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import RunReader
from rung.tui.commands.event_lines import event_line

POLL_SECONDS = 0.2


class EventPrinter:
    """Prints events as lines, the frequent types at most every so many seconds of the run's own time."""

    def __init__(self, write: Callable[[str], None], *, step_seconds: float, memory_seconds: float = 30.0) -> None:
        self._write = write
        self._intervals = {
            "step": step_seconds, "memory": memory_seconds, "phase": max(1.0, step_seconds),
            "rung_progress": max(5.0, step_seconds),
        }  # fmt: skip
        self._shown_at: dict[str, float] = {}
        # Of a type that tells how far something is: what it was last.
        self._about: dict[str, str] = {}

    def __call__(self, events: list[dict[str, Any]], state: RunState) -> None:
        for event in events:
            if self._wanted(event):
                self._write(event_line(event, state))

    def _wanted(self, event: dict[str, Any]) -> bool:
        kind = str(event.get("type"))
        interval = self._intervals.get(kind)
        if interval is None:
            return True
        about = str(event.get("name") or event.get("rung") or "")
        if kind in ("phase", "rung_progress") and about != self._about.get(kind):
            self._about[kind] = about
        elif event.get("time", 0.0) - self._shown_at.get(kind, float("-inf")) < interval:
            return False
        self._shown_at[kind] = event.get("time", 0.0)
        return True


class Interrupts:
    """Counts Ctrl-C instead of raising, so that a run is asked to stop at a known place."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """Within it, SIGINT only counts."""
    interrupts = Interrupts()

    def count(signal_number: int, frame: object) -> None:
        interrupts.count += 1

    before = signal.signal(signal.SIGINT, count)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def follow(
    reader: RunReader, show: Callable[[list[dict[str, Any]], RunState], None], after: int = -1
) -> Iterator[RunState]:
    """Show events as they come; gives the state after each look, and ends when the run has ended.

    `after` is the last sequence number of an earlier sitting, whose own end doesn't count.
    """
    while True:
        events = reader.refresh()
        show(events, reader.state)
        yield reader.state
        if not events:
            if _ended(reader, after):
                return
            time.sleep(POLL_SECONDS)


def _ended(reader: RunReader, after: int) -> bool:
    if not reader.state.over:
        return reader.status() == "crashed"
    return reader.state.sequence > after or not is_locked(reader.folder.lock)
