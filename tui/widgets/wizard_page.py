"""What every page of the wizard has: why it is there, what is advised, and fields that say when they change."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label, Static

from tui.text import printable
from tui.widgets.text_panel import TextPanel

if TYPE_CHECKING:
    from engine.ladder.advice_facts import Advice
    from engine.project.wizard import Page
    from tui.screens.wizard_view import WizardView

Where = Literal["project", "recipe", "drafts"]


class Edited(Message):
    """A setting was changed on a page: of rung.yaml, of the recipe, or a draft of wizard.json."""

    def __init__(self, where: Where, field: str, value: Any) -> None:
        self.where, self.field, self.value = where, field, value
        super().__init__()


class Wanted(Message):
    """A page asks for work: check, split, try, ask, measure, climb, scoreboard, use."""

    def __init__(self, what: str, value: str = "") -> None:
        self.what, self.value = what, value
        super().__init__()


class WizardPage(VerticalScroll):
    """One page. Subclasses give `compose_fields` and `show`; `ACTIONS` are the advice that belongs here."""

    PAGE: ClassVar["Page"]
    WHY: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[str, ...]] = ()

    def compose(self) -> ComposeResult:
        yield Static(self.WHY, classes="why", markup=False)
        yield TextPanel(classes="advice")
        yield from self.compose_fields()

    def compose_fields(self) -> ComposeResult:
        """The page's own fields."""
        yield from ()

    def show(self, view: "WizardView") -> None:
        """Bring the page up to date; fields that are being written in are left alone."""
        advice = [each for each in view.facts.advice if each.action in self.ACTIONS]
        panel = self.query_one(".advice", TextPanel)
        panel.display = bool(advice)
        panel.put(advice_lines(advice))

    def put(self, field: str, text: str) -> None:
        """Write into a field that nobody is writing in."""
        found = self.query_one(f"#{field}", Input)
        if not found.has_focus and found.value != text:
            with found.prevent(Input.Changed):
                found.value = text

    def say(self, panel: str, content: Content | str) -> None:
        """Put text into one of the page's panels."""
        found = self.query_one(f"#{panel}", TextPanel)
        found.display = bool(content)
        found.put(content)


class FieldLine(Horizontal):
    """A label, an input, and where there is room what it means."""

    def __init__(self, field: str, label: str, about: str, placeholder: str = "") -> None:
        super().__init__(classes="field")
        self._field, self._label, self._about, self._placeholder = field, label, about, placeholder

    def compose(self) -> ComposeResult:
        yield Label(self._label)
        yield Input(id=self._field, placeholder=self._placeholder, compact=True, tooltip=self._about)
        yield Static(self._about, classes="about", markup=False)


def advice_lines(advice: "list[Advice]") -> Content:
    """`Advice` with the figure that it rests on, a line each."""
    return Content("\n").join(
        Content.assemble(("➜ ", "bold $text-accent"), printable(each.text), (f"  [{each.evidence}]", "$muted"))
        for each in advice
    )


def number_or_none(text: str) -> float | None:
    """The number that a field holds; None for an empty one. Raises ValueError for anything else."""
    return float(text.replace(",", ".")) if text.strip() else None
