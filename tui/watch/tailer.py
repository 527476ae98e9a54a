"""The one background thread that reads files for the screens: events, liveness, logs, the scoreboard.

Textual's thread workers share a small pool, so a thread of our own follows all runs. It reads in bounded batches and
waits until the app has folded them, so a file of a million events costs neither memory nor the screen's patience.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message

from rung.engine.jobs.events import TERMINAL_TYPES
from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import EventTail, log_tail
from rung.engine.machine.oom_kills import was_probably_killed
from rung.tui.watch.ladder import Ladder, ladder_state
from rung.tui.watch.messages import EventsRead, LadderRead, LivenessRead, LogRead, RunFound

# About 300 events: parsing them holds the interpreter for a millisecond or two, folding them the event loop as long.
BATCH_BYTES = 1 << 16
BATCHES_AHEAD = 2
ACTIVE_SECONDS = 0.05
QUIET_SECONDS = 0.25
OVER_SECONDS = 2.0
LOOK_SECONDS = 1.0
# A worker that was only just started has neither a lock nor an event yet: that is not a crash.
START_GRACE_SECONDS = 15.0


class Tailer(threading.Thread):
    """Follows every run below `root`, or one recording, and posts what it reads."""

    def __init__(self, root: Path, post: Callable[[Message], object], recording: Path | None = None) -> None:
        super().__init__(name="tailer", daemon=True)
        self._root, self._post, self._recording = root, post, recording
        self._ended = threading.Event()
        self._room = threading.Semaphore(BATCHES_AHEAD)
        self._followed: dict[str, _Followed] = {}
        self._wanted: list[RunFolder] = []
        self._ladder: Ladder | None = None
        self._ladder_changed: tuple[float, float] | None = None
        self._log_of = ""

    def stop(self) -> None:
        """End the thread at its next breath."""
        self._ended.set()

    def folded(self) -> None:
        """The app has folded one batch: there is room for another."""
        self._room.release()

    def follow(self, folder: RunFolder) -> None:
        """Follow a run too, at once: one just started, or one of another project."""
        self._wanted.append(folder)

    def read_log_of(self, run: str) -> None:
        """Whose worker.log is wanted; of the others only the end of crashed ones is read."""
        self._log_of = run

    def run(self) -> None:
        """The thread's body."""
        if self._recording is not None:
            self._add(_Followed(self._recording.stem, self._recording, None))
        next_look = 0.0
        while not self._ended.is_set():
            if time.monotonic() >= next_look and self._recording is None:
                self._look_around()
                next_look = time.monotonic() + LOOK_SECONDS
            self._add_wanted()
            newest_first = sorted(self._followed.values(), key=lambda run: run.id, reverse=True)
            waits = [self._attend(followed) for followed in newest_first if not self._ended.is_set()]
            self._ended.wait(min([QUIET_SECONDS, *waits]))

    def _look_around(self) -> None:
        for folder in reversed(list_runs(self._root)):
            if folder.id not in self._followed or not self._followed[folder.id].recipe_read:
                self._add(_Followed(folder.id, folder.events, folder))
        changed = (_changed(self._root / "scoreboard.json"), _changed(self._root / "rung.yaml"))
        if changed == self._ladder_changed:
            return
        self._ladder_changed = changed
        ladder = ladder_state(self._root)
        if ladder != self._ladder:
            self._ladder = ladder
            self._say(LadderRead(ladder))

    def _add_wanted(self) -> None:
        while self._wanted:
            folder = self._wanted.pop(0)
            if folder.id not in self._followed:
                self._add(_Followed(folder.id, folder.events, folder))

    def _add(self, followed: "_Followed") -> None:
        followed = self._followed.setdefault(followed.id, followed)
        recipe = _read_recipe(followed.folder.recipe if followed.folder else followed.events.with_suffix(".yaml"))
        # A folder may be seen in the instant before its recipe is written: then it is looked at again.
        followed.recipe_read = bool(recipe)
        self._say(RunFound(followed.id, followed.folder, recipe))

    def _attend(self, followed: "_Followed") -> float:
        """Read what is due of one run; gives the seconds until something is due again."""
        now = time.monotonic()
        if now < followed.due:
            return followed.due - now
        if self._read_events(followed):
            return 0.0
        if followed.folder is not None:
            self._read_liveness(followed, followed.folder)
            self._read_log(followed, followed.folder)
        wait = OVER_SECONDS if followed.over else ACTIVE_SECONDS if now - followed.active < 2.0 else QUIET_SECONDS
        followed.due = now + wait
        return wait

    def _read_events(self, followed: "_Followed") -> bool:
        """Read one batch and pass it on; whether there may be more."""
        events = followed.tail.read(BATCH_BYTES)
        if not events:
            if not followed.caught_up:
                followed.caught_up = True
                self._say(EventsRead(followed.id, [], caught_up=True))
            return False
        followed.active = time.monotonic()
        followed.note(events)
        while not self._room.acquire(timeout=0.1):
            if self._ended.is_set():
                return False
        self._say(EventsRead(followed.id, events, caught_up=followed.caught_up))
        return True

    def _read_liveness(self, followed: "_Followed", folder: RunFolder) -> None:
        now = time.monotonic()
        if followed.over or now < followed.liveness_due:
            return
        followed.liveness_due = now + LOOK_SECONDS
        alive = is_locked(folder.lock)
        if not alive and not followed.any_events and time.time() - _changed(folder.path) < START_GRACE_SECONDS:
            return
        # The last word may have come between the two looks: it goes out before the news of the death.
        while not alive and self._read_events(followed) and not self._ended.is_set():
            pass
        if alive != followed.alive:
            followed.alive = alive
            self._say(
                LivenessRead(followed.id, alive, out_of_memory=not alive and was_probably_killed(*followed.began))
            )

    def _read_log(self, followed: "_Followed", folder: RunFolder) -> None:
        crashed = followed.alive is False and not followed.over
        if followed.id != self._log_of and not crashed:
            return
        changed = _changed(folder.log)
        if changed != followed.log_changed:
            followed.log_changed = changed
            self._say(LogRead(followed.id, log_tail(folder)))

    def _say(self, message: Message) -> None:
        try:
            self._post(message)
        except RuntimeError:
            # The app's loop is closed: nobody is left to hear it.
            self._ended.set()


@dataclass
class _Followed:
    """What the thread remembers of one run."""

    id: str
    events: Path
    folder: RunFolder | None
    due: float = 0.0
    liveness_due: float = 0.0
    active: float = 0.0
    log_changed: float = 0.0
    alive: bool | None = None
    over: bool = False
    any_events: bool = False
    # Host and the kernel's counts of kills there when the worker began.
    began: tuple[str, dict[str, int]] = field(default_factory=lambda: ("", {}))
    recipe_read: bool = False
    caught_up: bool = False
    tail: EventTail = field(init=False)

    def __post_init__(self) -> None:
        self.tail = EventTail(self.events)

    def note(self, events: list[dict[str, Any]]) -> None:
        """Keep in mind whether the last word has been spoken."""
        self.any_events = True
        for event in events:
            kind = event.get("type")
            if kind in TERMINAL_TYPES:
                self.over = True
            elif kind in {"queued", "started", "resumed"}:
                self.over = False
                self.alive = None
            if kind == "started":
                self.began = (str(event.get("host", "")), event.get("oom_kills") or {})


def _changed(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _read_recipe(path: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return value if isinstance(value, dict) else {}
