"""What every screen has: the title line, the ladder rail, the keys; wide or narrow."""

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen

from tui.widgets.key_footer import KeyFooter
from tui.widgets.ladder import LadderRail
from tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from tui.app import RungApp

WIDE_COLUMNS = 100


class RungScreen(Screen[None]):
    """A screen of the app. Subclasses give `compose_body`, and `compose_side` for what stands below the ladder."""

    CSS_PATH = ["../styles/base.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (40, "-tall")]

    def compose(self) -> ComposeResult:
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
        # The class -narrow comes with the first layout, which is later than the first call.
        self.query_one(LadderRail).show(app.ladder, app.any_live, app.glyphs, one_line=app.size.width < WIDE_COLUMNS)

    def on_screen_resume(self) -> None:
        self.show_ladder()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_ladder)
