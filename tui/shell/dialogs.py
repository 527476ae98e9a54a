"""The small questions and notices that stand over a screen."""

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from rung.engine.core.errors import EngineError
from rung.engine.jobs.stack import LacksStack
from rung.tui.text.words import printable

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp


class ErrorPanel(ModalScreen[None]):
    """What went wrong, where, and what to do."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [
        Binding("escape,enter,q", "dismiss", "close"),
        Binding("t", "take", "take it"),
    ]

    def __init__(self, error: EngineError) -> None:
        super().__init__()
        self._error = error
        # An interpreter that has what another lacks, where that is the matter.
        self._able = error.able if isinstance(error, LacksStack) else None

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-error") as dialog:
            dialog.border_title = "It did not work"
            yield Static(printable(self._error.message), markup=False, classes="message")
            if self._error.details:
                with VerticalScroll(classes="details"):
                    yield Static(printable(self._error.details), markup=False)
            if self._error.hint:
                yield Static(Content.assemble(("What to do: ", "bold"), printable(self._error.hint)), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button("Close", id="close")
                if self._able is not None:
                    yield Button("Take that Python (t)", id="take")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "take":
            self.action_take()
        else:
            self.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only where there is another Python can it be taken."""
        return self._able is not None if action == "take" else super().check_action(action, parameters)

    def action_take(self) -> None:
        """Let the project's workers run in the interpreter that has what lacks."""
        self.dismiss()
        if self._able is not None:
            cast("RungApp", self.app).take_python(self._able)


class ConfirmDialog(ModalScreen[bool]):
    """A question whose answer can't be taken back. The safe answer has the focus."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, question: str, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._question, self._yes, self._no = title, question, yes, no

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._title
            yield Static(self._question, markup=False, classes="message")
            with Horizontal(classes="buttons"):
                yield Button(Content(f"{self._no} (n)"), id="no")
                yield Button(Content(f"{self._yes} (y)"), id="yes", variant="warning")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


class ChoiceDialog(ModalScreen[str | None]):
    """A list to choose from; typing filters it. Gives the chosen key, or None."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [
        Binding("escape", "leave", "close"),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]

    def __init__(self, title: str, choices: dict[str, str], empty: str = "There is nothing to choose from.") -> None:
        super().__init__()
        self._title, self._choices, self._empty = title, choices, empty

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="-choice") as dialog:
            dialog.border_title = self._title
            if not self._choices:
                yield Static(self._empty, markup=False, classes="message")
                return
            yield Input(placeholder="type to filter, enter chooses")
            yield OptionList(*self._options(""), markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options(self._options(event.value))
        listed.highlighted = 0 if listed.option_count else None

    def on_input_submitted(self) -> None:
        listed = self.query_one(OptionList)
        if listed.highlighted is not None:
            self.dismiss(listed.get_option_at_index(listed.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def on_mount(self) -> None:
        for listed in self.query(OptionList):
            listed.highlighted = 0

    def action_move(self, by: int) -> None:
        """Move the mark in the list while the filter keeps the focus."""
        for listed in self.query(OptionList):
            if by > 0:
                listed.action_cursor_down()
            else:
                listed.action_cursor_up()

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)

    def _options(self, wanted: str) -> list[Option]:
        words = wanted.lower().split()
        return [
            Option(printable(text), id=key)
            for key, text in self._choices.items()
            if all(word in text.lower() for word in words)
        ]
