"""What every page of the wizard has: why it is there, what is advised, and fields that say when they change.

A field says beside itself what is wrong with what was typed. That stays in the field, also when the page or the program
is left in between (as a draft in wizard.json), and is not written among the settings.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Label, Static

from rung.engine.core.errors import EngineError
from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel

if TYPE_CHECKING:
    from rung.engine.guide.wizard import Page
    from rung.engine.ladder.advice_facts import Advice
    from rung.tui.shell.app import RungApp
    from rung.tui.wizard.view import WizardView

Where = Literal["project", "recipe", "drafts"]


class Edited(Message):
    """A setting was changed on a page: of rung.yaml, of the recipe, or a draft of wizard.json.

    `origin` is the input it was typed in, if it was typed.
    """

    def __init__(self, where: Where, field: str, value: Any) -> None:
        self.where, self.field, self.value = where, field, value
        self.origin = ""
        super().__init__()


class Wanted(Message):
    """A page asks for work: check, split, try, ask, measure, climb, scoreboard, use; `field` is where it was typed."""

    def __init__(self, what: str, value: str = "", field: str = "") -> None:
        self.what, self.value, self.field = what, value, field
        super().__init__()


class Wrong(ValueError):
    """What is wrong with a text in a field, in a few words to stand beside it."""


class WizardPage(VerticalScroll):
    """One page. Subclasses give `compose_fields` and `show`; `ACTIONS` are the advice that belongs here."""

    PAGE: ClassVar["Page"]
    WHY: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[str, ...]] = ()

    def compose(self) -> ComposeResult:
        yield Static(self.WHY, classes="why", markup=False)
        yield TextPanel(classes="step")
        yield TextPanel(classes="advice")
        yield from self.compose_fields()

    def compose_fields(self) -> ComposeResult:
        """The page's own fields."""
        yield from ()

    def show(self, view: "WizardView") -> None:
        """Bring the page up to date; fields that are being written in are left alone."""
        step, marks = view.steps[self.PAGE], view.marks
        mark = {"done": f"{marks.yes} ", "open": f"{marks.half} ", "not yet": ""}[step.state]
        self.query_one(".step", TextPanel).put(Content.assemble((f"{mark}{step.state}  ", "bold"), printable(step.why)))
        advice = [each for each in view.facts.advice if each.action in self.ACTIONS]
        panel = self.query_one(".advice", TextPanel)
        panel.display = bool(advice)
        panel.put(advice_lines(advice))

    def read(self, field: str, text: str) -> list[Edited]:
        """The changes that a field's text means. Raises Wrong where it means none."""
        return []

    def put(self, field: str, text: str, drafts: Mapping[str, str]) -> None:
        """Write into a field that nobody is writing in: what was typed and is not taken yet, else the setting."""
        line = self.line(field)
        if line.input.has_focus:
            return
        line.setting = text
        line.write(drafts.get(field, text))
        edits = self._examined(line)
        if field in drafts and edits:  # It was wrong when it was typed, and with another metric, say, it no longer is.
            self._tell(line, [*edits, Edited("drafts", field, "")])

    def on_input_changed(self, event: Input.Changed) -> None:
        line = event.input.parent
        assert isinstance(line, FieldLine)
        edits = self._examined(line)
        if edits:
            self._tell(line, [*edits, Edited("drafts", line.field, "")])
        else:
            # On the way to a wrong text there may have been right ones: 1 before 1.7.
            self._tell(line, [*self._edits_of(line, line.setting), Edited("drafts", line.field, line.input.value)])

    def _examined(self, line: "FieldLine") -> list[Edited]:
        """The changes that the field's text means, or beside the field what is wrong with it."""
        text = line.input.value
        try:
            edits = self.read(line.field, text)
            if line.refused is not None and line.refused[0] == text:
                raise Wrong(line.refused[1])
        except Wrong as wrong:
            line.wrong = str(wrong)
            return []
        line.wrong = ""
        return edits

    def _edits_of(self, line: "FieldLine", text: str) -> list[Edited]:
        try:
            return self.read(line.field, text)
        except Wrong:
            return []

    def _tell(self, line: "FieldLine", edits: list[Edited]) -> None:
        for edit in edits:
            edit.origin = line.field
            self.post_message(edit)

    def accept(self, field: str) -> None:
        """What was typed in a field is taken: the field shows the setting from now on."""
        line = self.line(field)
        line.wrong, line.refused = "", None
        self.post_message(Edited("drafts", field, ""))

    def line(self, field: str) -> "FieldLine":
        """A field with what stands beside it."""
        found = self.query_one(f"#{field}", Input).parent
        assert isinstance(found, FieldLine)
        return found

    def say(self, panel: str, content: Content | str) -> None:
        """Put text into one of the page's panels."""
        found = self.query_one(f"#{panel}", TextPanel)
        found.display = bool(content)
        found.put(content)


class FieldLine(Horizontal):
    """A label, an input, and where there is room what it means; in its place what is wrong with the text, always."""

    wrong = reactive("")

    def __init__(self, field: str, label: str, about: str, placeholder: str = "") -> None:
        super().__init__(classes="field")
        self.field, self._label, self._about, self._placeholder = field, label, about, placeholder
        self.refused: tuple[str, str] | None = None
        self.setting = ""  # The setting's text, as it was before somebody typed here.

    def compose(self) -> ComposeResult:
        yield Label(self._label)
        yield Input(id=self.field, placeholder=self._placeholder, compact=True, tooltip=self._about)
        yield Static(self._about, classes="about", markup=False)

    @property
    def input(self) -> Input:
        """The input itself."""
        return self.query_one(Input)

    def write(self, text: str) -> None:
        """Put a text into the input without having it examined as if it were typed."""
        if self.input.value != text:
            with self.input.prevent(Input.Changed):
                self.input.value = text

    def refuse(self, why: str) -> None:
        """Say why the text that stands there now was refused, until it is another one."""
        self.refused, self.wrong = (self.input.value, why), why

    def watch_wrong(self, wrong: str) -> None:
        """Show what is wrong, in words and colour."""
        if not self.is_mounted:
            return
        no = cast("RungApp", self.app).glyphs.no
        self.set_class(bool(wrong), "-wrong")
        self.input.set_class(bool(wrong), "-wrong")
        self.query_one(".about", Static).update(printable(f"{no} {wrong}" if wrong else self._about))
        self._bring_into_sight()

    def on_descendant_focus(self) -> None:
        self._bring_into_sight()

    def _bring_into_sight(self) -> None:
        """Scroll to what is wrong, which may stand below the page's last line."""
        if self.wrong and self.input.has_focus:
            self.call_after_refresh(self.scroll_visible, animate=False)


def advice_lines(advice: "list[Advice]") -> Content:
    """`Advice` with the figure that it rests on, a line each."""
    return Content("\n").join(
        Content.assemble(("➜ ", "bold $text-accent"), printable(each.text), (f"  [{each.evidence}]", "$muted"))
        for each in advice
    )


def error_line(error: EngineError) -> str:
    """An error in one line, to stand beside a field."""
    return " · ".join(part.replace("\n", "; ") for part in (error.message, error.details, error.hint) if part)


def number(text: str) -> float:
    """The number that a field holds, with a point or a comma. Raises Wrong for anything else."""
    try:
        found = float(text.strip().replace(",", "."))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Wrong(f"{text.strip()} is not a number" if text.strip() else "a number is wanted")
    return found


def whole_number(text: str, least: int, most: int | None = None) -> int:
    """The whole number that a field holds. Raises Wrong for anything else, and for one out of bounds."""
    found = number(text)
    if found != int(found):
        raise Wrong(f"{text.strip()} is not a whole number")
    if found < least or most is not None and found > most:
        raise Wrong(f"at least {least}" if most is None else f"{least:,} to {most:,}")
    return int(found)
