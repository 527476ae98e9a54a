"""Following a run from outside: new events in bounded batches, and whether its worker is alive."""

import json
import os
from pathlib import Path
from typing import Any

from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked

BATCH_BYTES = 1 << 20
LOG_TAIL_BYTES = 16_384


class EventTail:
    """Reads an events file as it grows. A last line without its newline is not there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""
        self._file_id: int | None = None

    def read(self, limit: int = BATCH_BYTES) -> list[dict[str, Any]]:
        """The next complete events, at most about `limit` bytes of them; [] when there is nothing new."""
        try:
            with self.path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                if status.st_ino != self._file_id or status.st_size < self._offset - len(self._rest):
                    self._restart(status.st_ino)
                elif status.st_size < self._offset:
                    # A resumed worker cut the torn line that we held back.
                    self._offset -= len(self._rest)
                    self._rest = b""
                stream.seek(self._offset)
                fresh = stream.read(limit)
        except FileNotFoundError:
            return []
        self._offset += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        return [event for event in map(_parsed, lines) if event is not None]

    def _restart(self, file_id: int) -> None:
        self._offset, self._rest, self._file_id = 0, b"", file_id


class RunReader:
    """One run's folded state, kept up to date by calling `refresh`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.state = RunState()
        self._tail = EventTail(folder.events)

    def refresh(self) -> list[dict[str, Any]]:
        """Fold one batch of new events and give them; [] when up to date."""
        events = self._tail.read()
        for event in events:
            apply(self.state, event)
        return events

    def catch_up(self) -> RunState:
        """Fold everything there is."""
        while self.refresh():
            pass
        return self.state

    def status(self) -> str:
        """The state word: the events' own, or `crashed` when the worker is gone without a last word."""
        if self.state.over or is_locked(self.folder.lock):
            return self.state.status
        self.catch_up()  # The last word may have come between the two looks.
        return self.state.status if self.state.over else "crashed"


def read_run(folder: RunFolder) -> tuple[RunState, str]:
    """A run's whole state and its state word."""
    reader = RunReader(folder)
    state = reader.catch_up()
    return state, reader.status()


def log_tail(folder: RunFolder, max_bytes: int = LOG_TAIL_BYTES) -> str:
    """The end of worker.log as text."""
    try:
        with folder.log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - max_bytes))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        # Python's own NaN and Infinity are no JSON; a number that is not finite is null.
        event = json.loads(line, parse_constant=lambda name: None)
    except ValueError:
        return {"type": "unreadable line", "text": line[:200].decode(errors="replace")} if line.strip() else None
    return event if isinstance(event, dict) else None
