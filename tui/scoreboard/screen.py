"""Scoreboard: every candidate on the same held-out examples, with intervals, differences and the verdict."""

from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rung.engine.core.errors import EngineError
from rung.engine.ladder.climb_state import ClimbReader, ClimbState
from rung.tui.scoreboard.examples import ExamplesScreen
from rung.tui.scoreboard.lines import candidate_lines, head_line, pair_line, verdict_lines
from rung.tui.shell.screen import RungScreen
from rung.tui.text.climbs import climb_headline, has_verdict, rung_lines
from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel

NOTHING_YET = (
    "Nothing is measured on the held-out examples yet.\n\n"
    "The wizard (w) goes through prompt, RAG and fine-tuning page by page and measures each;\n"
    "rung climb, in a shell, measures the whole ladder without a hand on it."
)


READING = "Reading the scoreboard …"
NOT_YET = "Nothing is measured on the held-out examples yet: a rung's first score comes when its variants are tried."
LOOK_SECONDS = 1.0


def read_scoreboard(root: Path) -> dict[str, Any] | EngineError:
    """The project's scoreboard, {} where nothing was measured, or why it can't be read; for a background thread."""
    from rung.engine.ladder.board import read_board
    from rung.engine.ladder.board_file import BOARD_FILE

    try:
        return read_board(root) if (root / BOARD_FILE).exists() else {}
    except EngineError as error:
        return error


class ScoreboardScreen(RungScreen):
    """Candidates above, pairs below; enter (or e) on either shows the examples that make the difference."""

    CSS_PATH = ["../shell/screen.tcss", "scoreboard.tcss"]
    AUTO_FOCUS = "#candidates"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "examples", "examples", tooltip="where one is right and the other wrong, with both answers"),
        Binding("tab", "app.focus_next", "pairs", tooltip="from the candidates to the pairs and back"),
        Binding("f5", "read", "read again", tooltip="read scoreboard.json again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.opening = True
        self._climb: ClimbState | None = None
        self._looking = False
        self._board: dict[str, Any] = {}
        self._empty = READING

    def compose_body(self) -> ComposeResult:
        yield TextPanel(id="climb")
        yield Static(READING, id="nothing", markup=False)
        with VerticalScroll(id="board", can_focus=False):
            yield TextPanel(id="head")
            yield OptionList(id="candidates", markup=False)
            yield TextPanel(id="verdict")
            yield OptionList(id="pairs", markup=False)

    def on_mount(self) -> None:
        self.set_where("scoreboard")
        self._reader = ClimbReader(self.rung.root)
        self._clock = self.set_interval(LOOK_SECONDS, self._look)
        self.query_one("#climb").display = False
        self.query_one("#climb").border_title = "Climb"
        self.query_one("#board").display = False
        self.query_one("#candidates").border_title = "Candidates"
        self.query_one("#pairs").border_title = "Differences, p corrected for their number"
        self.query_one("#verdict").border_title = "Verdict"

    def on_screen_resume(self) -> None:
        self._clock.resume()
        self.action_read()

    def on_screen_suspend(self) -> None:
        self._clock.pause()

    def show_ladder(self) -> None:
        """The ladder has changed, so has the scoreboard."""
        super().show_ladder()
        if not self.opening:
            self.action_read()

    def redraw(self) -> None:
        """For another size."""
        self._show()

    def action_read(self) -> None:
        """Read the scoreboard and the climb in a thread."""
        root, reader = self.rung.root, self._reader
        self.rung.errand(lambda: (read_scoreboard(root), reader.look()), self._read)

    def _look(self) -> None:
        """Look how far the climb is."""
        if self._looking or self.opening:
            return
        self._looking = True
        self.rung.errand(self._reader.look, self._looked)

    def _looked(self, climb: ClimbState | None) -> None:
        self._looking = False
        if climb != self._climb and self.is_mounted:
            over = self._climb is not None and climb is not None and climb.status != self._climb.status
            self._climb = climb
            self._show()
            if over:
                self.action_read()

    def _read(self, both: tuple[dict[str, Any] | EngineError, ClimbState | None]) -> None:
        found, self._climb = both
        self._board = found if isinstance(found, dict) else {}
        self._empty = NOTHING_YET if isinstance(found, dict) else f"The scoreboard can't be read.\n\n{found}"
        self.opened()
        self._show()

    def _show(self) -> None:
        rows = self._board.get("scoreboard") or []
        decided = has_verdict(self._board, self._climb)
        self._show_climb(decided)
        nothing = self.query_one("#nothing", Static)
        nothing.display = not rows
        self.query_one("#board").display = bool(rows)
        if not rows:
            going = self._climb is not None and self._climb.going
            nothing.update(NOT_YET if going and not self.opening else printable(self._empty))
            return
        width = self.size.width - (0 if self.has_class("-narrow") else 28) - 6
        marks = self.rung.glyphs
        self.query_one("#head", TextPanel).put(head_line(self._board, self.has_class("-narrow")))
        _fill(
            self.query_one("#candidates", OptionList),
            [Option(candidate_lines(self._board, row, marks, width), id=str(row["candidate"])) for row in rows],
        )
        verdict = self.query_one("#verdict", TextPanel)
        verdict.display = decided
        verdict.put(verdict_lines(self._board))
        pairs = self.query_one("#pairs", OptionList)
        pairs.display = bool(self._board["pairs"])
        _fill(pairs, [Option(pair_line(self._board, pair, width)) for pair in self._board["pairs"]])
        if self.focused is None:
            self.query_one("#candidates").focus()
        self.refresh_bindings()

    def _show_climb(self, decided: bool) -> None:
        """How far a climb is that has no verdict yet; nothing where there is one, or never was a climb."""
        panel, climb = self.query_one("#climb", TextPanel), self._climb
        wanted = (climb is not None and (climb.going or climb.broken_off)) or bool(self._board)
        panel.display = wanted and not decided and not self.opening
        lines = [Content.styled(climb_headline(climb), "bold")]
        if climb is not None:
            lines += [Content(line) for line in rung_lines(climb, self.rung.glyphs)]
        panel.put(Content("\n").join(lines))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the examples where there are no two candidates."""
        if action == "examples":
            return bool(self._board.get("pairs"))
        return super().check_action(action, parameters)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        pairs = self._board["pairs"]
        if event.option_list.id == "pairs":
            pair = pairs[event.option_index]
            self._open(str(pair["a"]), str(pair["b"]))
        elif (other := self._rival(str(event.option.id))) is not None:
            self._open(str(event.option.id), other)

    def action_examples(self) -> None:
        """The examples of what is marked."""
        focused = self.focused
        if isinstance(focused, OptionList):
            focused.action_select()

    def _rival(self, candidate: str) -> str | None:
        """Whom a candidate is held against: of the others the one with the best score."""
        others = [row for row in self._board["scoreboard"] if row["candidate"] != candidate]
        best = max if self._board.get("more_is_better", True) else min
        return str(best(others, key=lambda row: float(row["score"]))["candidate"]) if others else None

    def _open(self, a: str, b: str) -> None:
        self.app.push_screen(ExamplesScreen(self._board, a, b))


def _fill(listed: OptionList, options: list[Option]) -> None:
    at = listed.highlighted
    listed.clear_options()
    listed.add_options(options)
    if options:
        listed.highlighted = min(at or 0, len(options) - 1)
