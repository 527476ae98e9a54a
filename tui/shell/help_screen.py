"""All keys, screen by screen, read from the bindings themselves."""

from collections.abc import Iterable
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from rung.tui.chart import Chart
from rung.tui.shell.screen_table import screen_class, screens

KEY_WIDTH = 12


class HelpScreen(ModalScreen[None]):
    """The keys of the screen one comes from first, then those everywhere, then the other screens'."""

    CSS_PATH = "help.tcss"
    BINDINGS = [Binding("escape,q,question_mark", "dismiss", "close")]

    def compose(self) -> ComposeResult:
        with Vertical(id="help") as frame:
            frame.border_title = "Keys"
            frame.border_subtitle = "arrows scroll, escape closes"
            with VerticalScroll():
                yield Static(self._text(), markup=False)

    def _text(self) -> Content:
        below = [screen for screen in self.app.screen_stack if screen is not self]
        here = next((name for name in screens() if below and isinstance(below[-1], screen_class(name))), "")
        parts = []
        if here:
            parts += [_section(f"Here: {screens()[here].title}", _bindings(screen_class(here)), self)]
        if here == "run":
            parts += [_section("In the chart", _bindings(Chart), self)]
        parts += [_section("Everywhere", _bindings(type(self.app)), self)]
        others = (name for name in screens() if name != here)
        parts += [_section(screens()[name].title, _bindings(screen_class(name)), self) for name in others]
        parts.append(Content("The mouse works too: tabs, the keys at the foot, rows, and a click into the chart."))
        return Content("\n\n").join(part for part in parts if part)


def _bindings(owner: type[Any]) -> Iterable[Binding]:
    given = owner.__dict__.get("BINDINGS", ())
    return (each for each in Binding.make_bindings(given) if each.description)


def _section(title: str, bindings: Iterable[Binding], screen: Screen[None]) -> Content:
    shown: dict[str, tuple[list[str], Binding]] = {}
    for binding in bindings:
        keys, _ = shown.setdefault(binding.action, ([], binding))
        keys.append(screen.app.get_key_display(binding))
    if not shown:
        return Content("")
    lines = [Content.styled(title, "bold $text-accent")]
    for keys, binding in shown.values():
        said = f"{binding.description}: {binding.tooltip}" if binding.tooltip else binding.description
        lines.append(Content.assemble((f"  {' '.join(keys):<{KEY_WIDTH}}", "bold"), said))
    return Content("\n").join(lines)
