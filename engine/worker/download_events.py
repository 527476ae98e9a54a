"""A download told as events: when bytes have come, and now and then when none have."""

import time
from collections.abc import Callable, Iterable

from engine.events import Event, Phase
from engine.runs.folder import RunFolder
from engine.runs.launch import root_of
from engine.runs.models_wanted import WantedModel, missing_models
from engine.worker.ending import obey_requests
from engine.worker.reporter import Reporter

QUIET_SECONDS = 5.0
"""A download that stands still is still said to be alive this often."""


class DownloadEvents:
    """Tells a download as `phase` events."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self._report = report
        self._last: tuple[int, int | None] | None = None
        self._at = 0.0

    def tell(self, done: int, total: int | None) -> None:
        """Report how far it is."""
        now = time.monotonic()
        if (done, total) != self._last or now - self._at >= QUIET_SECONDS:
            self._last, self._at = (done, total), now
            self._report(Phase("download", done, total, "bytes"))

    def tell_and_load(self, done: int, total: int | None) -> None:
        """Report how far it is, and at its end that loading comes next."""
        self.tell(done, total)
        if done == total:
            self._report(Phase("load"))


def bring_missing_models(models: Iterable[WantedModel], folder: RunFolder, reporter: Reporter) -> None:
    """Bring those that are not on this machine, told as events; ends the run where that is asked for.

    Raises EngineError for a model that can't be brought.
    """
    missing = missing_models(models, root_of(folder))
    if not missing:
        return
    from engine.hub.download import fetch_model

    events = DownloadEvents(reporter.write)

    def tell(done: int, total: int | None) -> None:
        events.tell(done, total)
        obey_requests(folder, reporter)

    for model in missing:
        reporter.write(Phase("download", unit="bytes"))
        fetch_model(model.name, model.revision, tell, code=model.code)


def run_downloads(folder: RunFolder, reporter: Reporter) -> Callable[[int, int | None], None]:
    """Tells downloads among a run's events, and ends them and the run where that is asked for."""
    events = DownloadEvents(reporter.write)

    def tell(done: int, total: int | None) -> None:
        events.tell_and_load(done, total)
        obey_requests(folder, reporter)

    return tell
