"""Downloads within a run: the models that it needs come first; they are told as events, and end where that is asked."""

from collections.abc import Callable, Iterable

from rung.engine.hub.download_events import DownloadEvents
from rung.engine.jobs.ending import obey_requests
from rung.engine.jobs.events import Phase
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.training.launch import root_of
from rung.engine.training.models_wanted import WantedModel, missing_models


def bring_missing_models(models: Iterable[WantedModel], folder: RunFolder, reporter: Reporter) -> None:
    """Bring those that are not on this machine, told as events; ends the run where that is asked for.

    Raises EngineError for a model that can't be brought.
    """
    missing = missing_models(models, root_of(folder))
    if not missing:
        return
    from rung.engine.hub.download import fetch_model

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
