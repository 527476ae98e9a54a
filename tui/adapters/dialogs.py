"""The form for adding adapters up: a weight for each, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, RadioButton, RadioSet, Static

from rung.engine.results.exports import How

WAYS: tuple[tuple[How, str], ...] = (
    ("cat", "cat: the exact sum; its rank is the sum of theirs"),
    ("svd", "svd: its best approximation of the largest rank; slow on a large model"),
    ("ties_svd", "ties_svd: what they agree on, then as svd"),
)


@dataclass(frozen=True)
class CombineAnswers:
    """The weights in the order of the runs, and PEFT's word for the way."""

    weights: list[float]
    how: How


class CombineDialog(ModalScreen[CombineAnswers | None]):
    """One form; enter goes on, escape leaves things as they are."""

    CSS_PATH = ["../shell/dialogs.tcss", "adapters.tcss"]
    BINDINGS = [Binding("escape", "leave", "close")]

    def __init__(self, runs: Sequence[str]) -> None:
        super().__init__()
        self._runs = list(runs)

    def compose(self) -> ComposeResult:
        share = f"{1 / len(self._runs):.3g}"
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Add up by weight, as a new run"
            with VerticalScroll(id="weights", can_focus=False):
                for number, run in enumerate(self._runs):
                    with Horizontal(classes="field"):
                        yield Input(share, id=f"weight-{number}", type="number", compact=True)
                        yield Label(run, markup=False)
            with RadioSet(id="how"):
                for number, (_, words) in enumerate(WAYS):
                    yield RadioButton(words, value=number == 0)
            yield Static("", id="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Add up", variant="primary")

    def on_input_submitted(self) -> None:
        self._go()

    def on_button_pressed(self) -> None:
        self._go()

    def action_leave(self) -> None:
        """Close without a sum."""
        self.dismiss(None)

    def _go(self) -> None:
        fields = [self.query_one(f"#weight-{number}", Input) for number in range(len(self._runs))]
        try:
            weights = [float(field.value) for field in fields]
        except ValueError:
            self.query_one("#fault", Static).update("Every weight is a number.")
            return
        how = WAYS[max(0, self.query_one(RadioSet).pressed_index)][0]
        self.dismiss(CombineAnswers(weights, how))
