"""One sitting of a job in a folder: its lock, its signals, its events; shared by evaluations and downloads."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import lock_within
from rung.engine.jobs.reporter import Reporter


class Job(Protocol):
    """What is done in a sitting."""

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM came: end soon, and keep what is done."""

    def run(self) -> int:
        """The work and its last word; gives the process's exit code."""


def sit(path: Path, make: Callable[[RunFolder, Reporter], Job], begin_anew: Callable[[RunFolder], None]) -> int:
    """Do the job in the folder `path` under its lock; exit code 1 where another process is at it already.

    `begin_anew` is called once the lock is held, before the events are opened.
    """
    folder = RunFolder(path.resolve())
    lock = lock_within(folder.lock, 2.0)
    if lock is None:
        print(f"{folder.path.name} is going on already", file=sys.stderr)
        return 1
    begin_anew(folder)
    reporter = Reporter(folder.events)
    job = make(folder, reporter)
    signal.signal(signal.SIGTERM, job.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return job.run()
    finally:
        reporter.close()
        lock.release()
