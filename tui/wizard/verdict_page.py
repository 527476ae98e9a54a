"""The wizard's last page: the scoreboard in short, the verdict and its reasons."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from rung.tui.scoreboard.lines import candidate_lines, head_line, verdict_lines
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.page import Wanted, WizardPage

if TYPE_CHECKING:
    from rung.tui.wizard.view import WizardView


# Whatever follows from a verdict stands beside it; what the wants suggest beforehand has the other pages.
ADVISED_AFTER = (
    "stop", "climb", "more_examples", "fix_retrieval", "rag", "tune", "more_data", "bigger_machine", "distil", "model",
    "target", "margin",
)  # fmt: skip


class VerdictPage(WizardPage):
    """What was measured on the held-out rows, and where to stop."""

    PAGE = "verdict"
    WHY = (
        "Why here: measuring and recommending are two things. With a target, the lowest rung whose whole interval "
        "clears it while every lower one is shown to miss it; without one, the lowest rung shown to be no worse than "
        "the higher ones by more than the margin. What the examples can't show stays undecided. Stopping below "
        "fine-tuning is a good result."
    )
    ACTIONS = ADVISED_AFTER

    def compose_fields(self) -> ComposeResult:
        yield TextPanel(id="verdict-text")
        with Horizontal(classes="buttons"):
            yield Button("Measure every rung", id="climb", variant="primary", compact=True)
            yield Button("Scoreboard and examples", id="board", compact=True)
        yield TextPanel(id="rows")

    def show(self, view: "WizardView") -> None:
        super().show(view)
        board = view.facts.board
        self.query_one("#board").display = bool(board)
        if not board:
            self.say(
                "verdict-text", "Nothing is measured on the held-out rows yet: measure a rung, or every one of them."
            )
            self.say("rows", "")
            return
        self.say("verdict-text", verdict_lines(board))
        narrow = self.screen.has_class("-narrow")
        width = max(60, self.size.width - 4)
        if not board["scoreboard"]:
            self.say("rows", "")
            return
        lines = [
            head_line(board, narrow),
            *(candidate_lines(board, row, view.marks, width) for row in board["scoreboard"]),
        ]
        self.say("rows", Content("\n").join(lines))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.post_message(Wanted("climb" if event.button.id == "climb" else "scoreboard"))
