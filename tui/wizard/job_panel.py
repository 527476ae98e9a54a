"""A job that goes on, at the wizard's foot: followed from its events, whoever started it."""

from typing import Protocol

from textual.content import Content
from textual.message import Message

from rung.engine.jobs.folder import RunFolder
from rung.tui.shell.screen import RungScreen
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.job import JobView

POLL_SECONDS = 0.5
LINES, LINES_NARROW = 6, 2


class Watch(Protocol):
    """What follows one job."""

    @property
    def folder(self) -> RunFolder:
        """Where it lies."""

    def look(self) -> JobView:
        """Read what is new; for a thread."""


class JobPanel(TextPanel):
    """Hidden until there is a job. Looks at it twice a second, from a thread, and says when something has changed."""

    class Changed(Message):
        """There is news of the job."""

        def __init__(self, panel: "JobPanel", view: JobView) -> None:
            self.panel, self.view = panel, view
            super().__init__()

    def __init__(self, doing: str, *, id: str) -> None:
        super().__init__(id=id, classes="job")
        self.doing = doing
        self.job: Watch | None = None
        self.view: JobView | None = None
        self._looking = False

    @property
    def busy(self) -> bool:
        """Whether a job goes on, as far as is known."""
        return self.job is not None

    def follow(self, watch: Watch) -> None:
        """Show this job from now on."""
        self.job, self.view = watch, None
        self._look()

    def on_mount(self) -> None:
        self.display = False
        self.set_interval(POLL_SECONDS, self._look)

    def _look(self) -> None:
        if self.job is None or self._looking or not isinstance(self.screen, RungScreen):
            return
        self._looking = True
        self.screen.rung.errand(self.job.look, self._looked)

    def _looked(self, view: JobView) -> None:
        self._looking = False
        if view == self.view or not self.is_mounted:
            return
        self.view = view
        if view.over:
            self.job = None
        if view.over or self.screen.is_active:
            self.draw()
            self.post_message(self.Changed(self, view))

    def draw(self) -> None:
        """Show what was last seen of the job; a screen that was covered calls it when it is on top again."""
        view = self.view
        if view is None:
            return
        keep = LINES_NARROW if self.screen.has_class("-narrow") else LINES
        self.display = True
        self.border_title = Content(f"{self.doing}: {view.status}").markup
        self.put(Content("\n").join(Content(line) for line in (*view.lines[-keep:], view.progress) if line))
