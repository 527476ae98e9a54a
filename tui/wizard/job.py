"""A climb as the wizard follows it: what its worker says, in lines, and whether it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import RunReader
from rung.engine.ladder.launch import climb_folder
from rung.tui.text.climbs import progress_words
from rung.tui.text.phases import download_line
from rung.tui.text.words import count, printable, score

MOST_LINES = 6


@dataclass(frozen=True)
class JobView:
    """One look at a job. `run` is the training run it waits for; `failed` its last word where it failed."""

    status: str
    lines: tuple[str, ...]
    progress: str
    run: str
    over: bool
    failed: dict[str, Any] | None = None


class JobWatch:
    """Follows one job's events; `look` belongs into a thread."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._reader = RunReader(folder)
        self._lines: list[str] = []
        self._run = ""

    def look(self) -> JobView:
        """Read what is new."""
        while events := self._reader.refresh():
            for event in events:
                self._take(event)
        state, status = self._reader.state, self._reader.status()
        over = state.over or status == "crashed"
        failed = state.result if status == "failed" else None
        return JobView(
            status, tuple(self._lines[-MOST_LINES:]), "" if over else _progress(state), self._run, over, failed
        )

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type"))
        if kind == "queued":  # A new sitting: what an earlier one said is on the scoreboard.
            self._lines, self._run = [], ""
        if kind == "phase" and str(event.get("unit", "")).startswith("run "):
            self._run = str(event["unit"]).removeprefix("run ")
        said = _WORDS.get(kind)
        if said is not None:
            self._lines.append(printable(said(event)))


def climb_going_on(root: Path) -> RunFolder | None:
    """The project's climb where one goes on, whoever started it."""
    folder = climb_folder(root)
    return folder if folder.lock.exists() and is_locked(folder.lock) else None


def _progress(state: RunState) -> str:
    unit = state.phase_unit or ""
    if state.phase == "download":
        return f"download {download_line(state)}"
    said = f"{state.phase} {unit if unit.startswith('run ') else ''}".strip() or state.status
    if state.phase_total:
        said = f"{state.phase} {count(state.phase_done)} of {count(state.phase_total)} {unit}".strip()
    return f"{progress_words(state.rung)} · {said}" if state.rung else said


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "tried": lambda event: f"tried {event['label']}: {score(event['score'])} on {event['n']} validation rows",
    "chosen": lambda event: f"chosen for {event['rung']}: {event['label']} ({event['why']})",
    "scored": lambda event: (
        f"{event['rung']}, {event['label']}: {score(event['score'])} [{score(event['low'])}, {score(event['high'])}] "
        f"on {event['n']} held-out rows"
    ),
    "skipped": lambda event: f"{event['rung']} skipped: {event['why']}",
    "rung_failed": lambda event: f"{event['rung']} failed: {event['message']}",
    "warning": lambda event: f"warning: {event['message']}",
    "recovered": lambda event: f"recovered: {event.get('what', '')}",
    "failed": lambda event: f"failed: {event['message']}",
    "decided": lambda event: f"verdict: {event['rung']}",
}
