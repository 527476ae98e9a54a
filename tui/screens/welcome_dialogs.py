"""The two small forms of the welcome screen: a folder, and a new project."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static


class FolderDialog(ModalScreen[str | None]):
    """Asks for a folder; gives its path as it was written, or None."""

    CSS_PATH = ["../styles/dialogs.tcss", "../styles/welcome.tcss"]
    BINDINGS = [Binding("escape", "leave", "close")]

    def __init__(self, title: str, question: str, folder: str, button: str) -> None:
        super().__init__()
        self._title, self._question, self._folder, self._button = title, question, folder, button

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._title
            yield Static(self._question, markup=False, classes="message")
            yield Input(self._folder, id="folder")
            with Horizontal(classes="buttons"):
                yield Button(self._button, variant="primary")

    def on_input_submitted(self) -> None:
        self._go()

    def on_button_pressed(self) -> None:
        self._go()

    def action_leave(self) -> None:
        """Close without a folder."""
        self.dismiss(None)

    def _go(self) -> None:
        folder = self.query_one("#folder", Input).value.strip()
        if folder:
            self.dismiss(folder)


@dataclass(frozen=True)
class NewProjectAnswers:
    """What a new project is made of, as it was written."""

    folder: str
    model: str
    train: str


class NewProjectDialog(ModalScreen[NewProjectAnswers | None]):
    """Folder, model and training data of a new project."""

    CSS_PATH = ["../styles/dialogs.tcss", "../styles/welcome.tcss"]
    BINDINGS = [Binding("escape", "leave", "close")]

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "New project"
            yield Label("folder: a new or an empty one")
            yield Input(id="folder", placeholder="my-project")
            yield Label("model: a folder, a hub id, or pocket")
            yield Input("pocket", id="model")
            yield Label("data: JSONL, JSON, CSV or Parquet; empty: add it later")
            yield Input(id="train", placeholder="examples.jsonl")
            with Horizontal(classes="buttons"):
                yield Button("Make it", variant="primary")

    def on_input_submitted(self) -> None:
        self._go()

    def on_button_pressed(self) -> None:
        self._go()

    def action_leave(self) -> None:
        """Close without a project."""
        self.dismiss(None)

    def _go(self) -> None:
        answers = NewProjectAnswers(
            *(self.query_one(f"#{name}", Input).value.strip() for name in ("folder", "model", "train"))
        )
        missing = next((name for name in ("folder", "model") if not getattr(answers, name)), None)
        if missing is not None:
            self.query_one(f"#{missing}", Input).focus()
            return
        self.dismiss(answers)
