"""Ending a run before its training begins, for a reason that is no failure."""

from rung.engine.jobs.checkpoints import latest_checkpoint
from rung.engine.jobs.events import Cancelled, Stopped, StopRequested
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.jobs.requests import take_requests


class RunEnded(Exception):
    """Raised where a run ends while it still makes its data; `event` is its last word."""

    def __init__(self, event: Stopped | Cancelled) -> None:
        super().__init__(event.type)
        self.event = event


def obey_requests(folder: RunFolder, reporter: Reporter) -> None:
    """End the run where somebody has asked for it. What it made so far is on disk already."""
    for kind, who in take_requests(folder).items():
        if kind == "checkpoint":
            continue
        reporter.write(StopRequested(who))
        if kind == "cancel":
            raise RunEnded(Cancelled(0, resumable=latest_checkpoint(folder) is not None))
        raise RunEnded(Stopped(0, resumable=True))
