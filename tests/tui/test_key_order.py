"""Keys that come in one packet: each finds what the one before it has done."""

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Event, Key, Paste
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from rung.tui.shell.key_order import OrderedKeys
from tests.helpers.on_screen import until

KEYS: list[BindingType] = [
    Binding("i", "field", "edit"),
    Binding("d", "count", "count"),
    Binding("a", "ask", "ask"),
    Binding("escape", "leave", "leave"),
]


class Question(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "dismiss", "yes")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("Sure?")


class Page(VerticalScroll):
    def compose(self) -> ComposeResult:
        yield Input(id="name", select_on_focus=False)


class Fields:
    """What both apps have: letters that do something, and a field that one of them opens."""

    AUTO_FOCUS = "Page"
    counted = 0

    def compose(self) -> ComposeResult:
        yield Page()

    def action_field(self) -> None:
        self.screen.set_focus(self.query_one(Input))  # type: ignore[attr-defined]

    def action_leave(self) -> None:
        self.screen.set_focus(self.query_one(Page))  # type: ignore[attr-defined]

    def action_count(self) -> None:
        self.counted += 1

    def action_ask(self) -> None:
        self.push_screen(Question())  # type: ignore[attr-defined]


class Ordered(Fields, OrderedKeys):
    BINDINGS = KEYS


class Plain(Fields, App[None]):
    BINDINGS = KEYS


def burst(app: App[None], *keys: str | Event) -> None:
    """Everything in one go, as it comes in one read from the terminal."""
    for key in keys:
        app.post_message(key if isinstance(key, Event) else Key(key, key if len(key) == 1 else None))


async def test_what_is_written_behind_the_key_that_opens_a_field_stands_in_it() -> None:
    app = Ordered()
    async with app.run_test() as pilot:
        burst(app, "d", *"iorder", Paste(" made"), *"d", "escape", *"ddi", "d")
        await until(pilot, lambda: app.query_one(Input).value == "order madedd")
        assert app.counted == 3, "the letters behind escape are keys again"


async def test_textual_by_itself_loses_them() -> None:
    """Why this is ours to do; once it fails, the module can go."""
    app = Plain()
    async with app.run_test() as pilot:
        burst(app, *"iorder")
        await until(pilot, lambda: isinstance(app.focused, Input))
        assert app.query_one(Input).value == ""


async def test_a_widget_that_goes_away_under_its_key_holds_up_no_other() -> None:
    app = Ordered()
    async with app.run_test() as pilot:
        for _ in range(5):
            burst(app, *"ayd")
        await until(pilot, lambda: app.counted == 5)
        assert len(app.screen_stack) == 1
