"""How Compare decodes: length, temperature, nucleus, seed and the system prompt."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from rung.engine.generation.client import Decoding


@dataclass(frozen=True)
class AskSettings:
    """What holds for every prompt: the decoding, and the system prompt (None: the prompt row's own)."""

    decoding: Decoding = Decoding()
    system: str | None = None


class DecodingDialog(ModalScreen[AskSettings | None]):
    """One form; enter keeps it, escape leaves things as they were."""

    CSS_PATH = ["../shell/dialogs.tcss", "compare.tcss"]
    BINDINGS = [Binding("escape", "leave", "close")]

    def __init__(self, settings: AskSettings) -> None:
        super().__init__()
        self._settings = settings

    def compose(self) -> ComposeResult:
        decoding = self._settings.decoding
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Decoding, the same for every candidate"
            yield from _field("tokens at most", "max_new_tokens", str(decoding.max_new_tokens), "integer")
            yield from _field(
                "temperature", "temperature", f"{decoding.temperature:g}", "number", "0: always the likeliest"
            )
            yield from _field("top p", "top_p", str(decoding.top_p), "number", "share of probability drawn from")
            yield from _field("seed", "seed", str(decoding.seed), "integer", "equal for every candidate")
            yield from _field("system", "system", self._settings.system or "", "text", "empty: the prompt row's own")
            yield Static("", id="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Keep", id="keep", variant="primary")

    def on_input_submitted(self) -> None:
        self._keep()

    def on_button_pressed(self) -> None:
        self._keep()

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)

    def _keep(self) -> None:
        try:
            decoding = Decoding(
                int(self._value("max_new_tokens")), float(self._value("temperature")), float(self._value("top_p")),
                int(self._value("seed")),
            )  # fmt: skip
        except ValueError as error:
            self._complain(str(error))
            return
        if decoding.max_new_tokens < 1 or decoding.temperature < 0 or not 0 < decoding.top_p <= 1:
            self._complain("tokens from 1, temperature from 0, top p above 0 and up to 1")
            return
        self.dismiss(AskSettings(decoding, self._value("system").strip() or None))

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    def _complain(self, fault: str) -> None:
        self.query_one("#fault", Static).update(fault)


def _field(label: str, name: str, value: str, kind: str, help_text: str = "") -> ComposeResult:
    with Horizontal(classes="field"):
        yield Label(label)
        yield Input(value, id=name, type=kind, placeholder=help_text if kind == "text" else "", compact=True)  # type: ignore[arg-type]
        if kind != "text":
            yield Static(help_text, markup=False, classes="why")
