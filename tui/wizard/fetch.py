"""A model's download as the wizard follows it, whoever started it."""

from typing import TYPE_CHECKING

from rung.engine.hub.fetch import Download, fetch_folder, start_fetch
from rung.engine.jobs.reader import RunReader
from rung.tui.text.phases import download_line
from rung.tui.text.words import gibibytes
from rung.tui.wizard.job import JobView

if TYPE_CHECKING:
    from rung.engine.jobs.folder import RunFolder


class FetchWatch:
    """Follows one download's events; `look` belongs into a thread."""

    def __init__(self, name: str, revision: str | None) -> None:
        self.name = name
        self.folder: RunFolder = fetch_folder(name, revision)
        self._reader = RunReader(self.folder)

    def look(self) -> JobView:
        """Read what is new."""
        state, status = self._reader.catch_up(), self._reader.status()
        over = state.over or status == "crashed"
        failed = state.result if status == "failed" else None
        return JobView(status, (), "" if over else download_line(state), "", over, failed)


def begin_fetch(download: Download, python: str | None) -> FetchWatch:
    """Begin the download, or go on with it, and follow it. For a thread. Raises EngineError."""
    start_fetch(download.name, download.revision, python)
    return FetchWatch(download.name, download.revision)


def download_words(download: Download, likely_bytes: int | None, free: int, cache: str) -> str:
    """How a hub model stands, and which key brings it."""
    if download.whole:
        return "in the hub's cache, whole"
    if download.going:
        return "it is being fetched: x stops it, and keeps what has come"
    size = f"about {gibibytes(likely_bytes)}" if likely_bytes else ""
    room = f"{gibibytes(free)} are free at {cache}"
    if download.begun:
        come = f"{gibibytes(download.begun)} of {size}" if size else gibibytes(download.begun)
        return f"not whole: {come} have come; f goes on fetching it; {room}"
    return f"not here yet: f fetches it{f' ({size})' if size else ''}; {room}"
