"""Example by example: where one candidate is right and the other wrong, with both answers, reference and chunks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rung.tui.scoreboard.lines import RUNG_WORDS
from rung.tui.shell.screen import RungScreen
from rung.tui.text.words import figure, one_line, printable
from rung.tui.widgets.text_panel import TextPanel

if TYPE_CHECKING:
    from rung.engine.ladder.contrast import Contrast, Group, Side

# The engine's names of the groups; spelled here too, so that its modules load in the thread that reads.
GROUPS: "tuple[Group, ...]" = ("a_only", "b_only", "both_wrong", "both_right")


class ExamplesScreen(RungScreen):
    """The held-out examples of two candidates in four groups; opened with the first group that has any."""

    CSS_PATH = ["../shell/screen.tcss", "scoreboard.tcss"]
    AUTO_FOCUS = "#examples"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "group(0)", "only A right"),
        Binding("2", "group(1)", "only B right"),
        Binding("3", "group(2)", "both wrong"),
        Binding("4", "group(3)", "both right"),
        Binding("tab", "app.focus_next", "scroll answer", show=False),
    ]

    def __init__(self, board: dict[str, Any], a: str, b: str) -> None:
        super().__init__()
        self._board, self._a, self._b = board, a, b
        self._groups: dict[Group, list[Contrast]] | None = None
        self._group: Group = "a_only"

    def compose_body(self) -> ComposeResult:
        yield TextPanel(id="who")
        with Container(id="split"):
            yield OptionList(id="examples", markup=False)
            with VerticalScroll(id="detail"):
                yield Static("Reading the answers …", id="answers", markup=False)

    def on_mount(self) -> None:
        self.set_where("scoreboard", "examples")
        root, board, a, b = self.rung.root, self._board, self._a, self._b

        def read() -> "dict[Group, list[Contrast]]":
            from rung.engine.ladder.contrast import contrast

            return contrast(root, board, a, b)

        self.rung.errand(read, self._read)

    def _read(self, groups: "dict[Group, list[Contrast]]") -> None:
        self._groups = groups
        self.action_group(next((at for at, name in enumerate(GROUPS) if groups[name]), 0))

    def action_group(self, at: int) -> None:
        """Show one of the four groups."""
        if self._groups is None:
            return
        self._group = GROUPS[at]
        items = self._groups[self._group]
        self.query_one("#who", TextPanel).put(self._who())
        listed = self.query_one("#examples", OptionList)
        listed.clear_options()
        listed.add_options([Option(one_line(item.example.question, 200)) for item in items])
        listed.highlighted = 0 if items else None
        self._show(items[0] if items else None)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self._groups is not None:
            self._show(self._groups[self._group][event.option_index])

    def _who(self) -> Content:
        assert self._groups is not None
        words = ("only A right", "only B right", "both wrong", "both right")
        counts = []
        for number, (name, said) in enumerate(zip(GROUPS, words, strict=True), start=1):
            here = name == self._group
            text = f"{number} {said} {len(self._groups[name])}"
            counts.append(Content.styled(f"[{text}]" if here else f" {text} ", "bold" if here else "$muted"))
        return Content("\n").join([self._called("A", self._a), self._called("B", self._b), Content("").join(counts)])

    def _called(self, letter: str, candidate: str) -> Content:
        row = next(row for row in self._board["scoreboard"] if str(row["candidate"]) == candidate)
        return Content.assemble(
            (f"{letter}  ", "bold $text-accent"), f"{RUNG_WORDS.get(row['rung'], row['rung'])}: {row['label']}"
        )

    def _show(self, item: "Contrast | None") -> None:
        panel = self.query_one("#answers", Static)
        panel.update(Content("No example is in this group.") if item is None else detail(item))
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)


def detail(item: "Contrast") -> Content:
    """Question, reference, both answers with their scores, and the passages each was shown."""
    parts = [
        _section("Question", item.example.question, f"row {item.example.line}"),
        _section("Reference", item.example.reference),
        *_side("A", item.a),
        *_side("B", item.b),
    ]
    return Content("\n\n").join(parts)


def _side(letter: str, side: "Side") -> list[Content]:
    answer = side.answer
    facts = f"score {figure(side.score)} · {'right' if side.right else 'wrong'} · {answer.tokens_out} tokens"
    if answer.refused:
        facts += f" · refused: {one_line(printable(answer.refusal or answer.stop_reason), 200)}"
    if answer.truncated:
        facts += " · hit the token limit"
    parts = [_section(f"{letter} answered", answer.answer, facts)]
    parts += [_section(f"{letter} was shown", _chunk(chunk)) for chunk in answer.chunks if chunk.get("text")]
    parts += [_section(f"{letter} lost", cut) for cut in answer.cuts]
    return parts


def _chunk(chunk: Mapping[str, str]) -> str:
    return f"{chunk.get('source', '')}: {chunk.get('text', '')}"


def _section(title: str, text: str, facts: str = "") -> Content:
    return Content.assemble(
        (title, "bold $text-accent"), (f"  {facts}" if facts else "", "$muted"), "\n", printable(text) or "(empty)"
    )
