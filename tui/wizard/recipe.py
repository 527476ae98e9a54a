"""The recipe's file, over the wizard, to read."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from rung.tui.text.words import printable


class RecipePanel(ModalScreen[None]):
    """Shows YAML as text; what is changed on the page, or in the file, stands here."""

    CSS_PATH = "wizard.tcss"
    BINDINGS = [Binding("escape,q,y", "dismiss", "close")]

    def __init__(self, file: str, text: str) -> None:
        super().__init__()
        self._file, self._text = file, text

    def compose(self) -> ComposeResult:
        with Vertical(id="recipe") as frame:
            frame.border_title = Content(self._file).markup
            frame.border_subtitle = "arrows scroll, escape closes"
            with VerticalScroll():
                yield Static(printable(self._text), markup=False)
