"""What every screen has: the title line, the ladder rail, the keys; wide or narrow."""

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen

from rung.tui.shell.key_footer import KeyFooter
from rung.tui.shell.ladder_rail import LadderRail
from rung.tui.shell.title_bar import TitleBar

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp

WIDE_COLUMNS = 100


class RungScreen(Screen[None]):
    """A screen of the app. Subclasses give `compose_body`, and `compose_side` for what stands below the ladder."""

    CSS_PATH = ["screen.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (40, "-tall")]

    def __init__(self) -> None:
        super().__init__()
        # Set by those that first read what their keys act on, until `opened`: keys wait so long.
        self.opening = False

    def opened(self) -> None:
        """The page is there, or says why it isn't: the keys typed meanwhile are its own."""
        self.opening = False
        self.rung.call_later(self.rung.send_waiting_keys)

    def compose(self) -> ComposeResult:
        self._fit()
        yield TitleBar()
        with Container(id="frame"):
            with Vertical(id="side"):
                yield LadderRail()
                yield from self.compose_side()
            with Vertical(id="body"):
                yield from self.compose_body()
        yield KeyFooter()

    def compose_side(self) -> ComposeResult:
        """What stands below the ladder."""
        yield from ()

    def compose_body(self) -> ComposeResult:
        """The screen's own content."""
        yield from ()

    @property
    def rung(self) -> "RungApp":
        """The app, with its types."""
        return cast("RungApp", self.app)

    def set_where(self, *parts: str) -> None:
        """The path in the title line, after the project's name."""
        self.query_one(TitleBar).where = (self.rung.project_name, *parts)

    def show_ladder(self) -> None:
        """Bring the ladder rail up to date; the app calls it when the ladder or the runs changed."""
        app = self.rung
        # News of the ladder comes from a thread: the rail may not be there yet, or, while the program ends, no longer.
        for rail in self.query(LadderRail):
            rail.show(app.ladder, app.any_live, app.glyphs, one_line=self.has_class("-narrow"))

    def run_updated(self, run: str) -> None:
        """There is news of a run; called while the screen is on top, and only then."""

    def on_screen_resume(self) -> None:
        self._fit()
        self._hear(True)
        self.show_ladder()
        self.rung.call_later(self.rung.send_waiting_keys)

    def on_screen_suspend(self) -> None:
        # Each message to a screen that shows through a dialog makes Textual repaint the whole terminal.
        self._hear(False)

    def redraw(self) -> None:
        """Fit what is shown to another size; called after the layout has it."""

    def on_resize(self) -> None:
        self.call_after_refresh(self._resized)

    # An app that ends takes the widgets away before it closes the queues: what comes then finds nothing to draw on.

    def _resized(self) -> None:
        if self.rung.is_running:
            self.show_ladder()
            self.redraw()

    def _news(self, run: str) -> None:
        if self.rung.is_running:
            self.run_updated(run)

    def _hear(self, wanted: bool) -> None:
        self.rung.run_updated.unsubscribe(self)
        if wanted:
            self.rung.run_updated.subscribe(self, self._news)

    def _fit(self) -> None:
        """Wide or narrow, tall or short, before anything is painted: Textual finds that out after the first layout."""
        size = self.app.size
        for cells, breakpoints in (
            (size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS),
        ):  # fmt: skip
            _, fits = max(entry for entry in breakpoints or [] if entry[0] <= cells)
            for _, name in breakpoints or []:
                self.set_class(name == fits, name)
