"""A run's events as text, and the end of its worker.log."""

import time

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from rung.tui.text.words import printable, printable_log
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.hanging import hanging
from rung.tui.widgets.text_panel import TextPanel

LOUD = {
    "failed": "bold $text-error",
    "warning": "$text-warning",
    "recovered": "$text-warning",
    "stop requested": "$text-warning",
    "finished": "bold $text-success",
}


class LogPanel(VerticalScroll):
    """Stays at the end until one scrolls up, and again from the end on."""

    BORDER_TITLE = "Log"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._run: WatchedRun | None = None

    def compose(self) -> ComposeResult:
        yield TextPanel(classes="auto")

    def on_mount(self) -> None:
        self.anchor()

    def on_resize(self) -> None:
        # The lines are broken by hand, and the first layout and the scrollbar change their width.
        if self._run is not None:
            self.show(self._run)

    def show(self, run: WatchedRun) -> None:
        """Show what there is."""
        self._run = run
        self.query_one(TextPanel).put(log_text(run, self.scrollable_content_region.width))


def log_text(run: WatchedRun, width: int) -> Content:
    """Time, kind and text of each event that says something, and the end of the worker's own words.

    What matters now stands last: the newest event, or the words of a worker that is gone without a last event.
    """
    events = [
        hanging(
            Content.assemble(
                (time.strftime("%H:%M:%S ", time.localtime(moment)), "$muted"),
                (f"{printable(kind):<14} ", LOUD.get(kind, "$text-accent")),
            ),
            Content(printable(text)),
            width,
        )
        for moment, kind, text in run.state.log
    ]
    said = printable_log(run.log_text).strip("\n")
    words = [Content.styled("worker.log, its end:", "bold"), Content(said)] if said else []
    lines = [*events, *words] if run.status == "crashed" else [*words, *events]
    return Content("\n").join(lines or [Content.styled("Nothing yet." if run.caught_up else READING, "$muted")])
