"""The user's settings: theme, chart, workers. What is changed holds at once and is kept."""

from dataclasses import replace

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, RadioButton, RadioSet

from rung.tui.settings.stored import CHART_MODES
from rung.tui.settings.themes import THEMES
from rung.tui.shell.app import RungApp, rung_app

CHART_HELP = {"braille": "braille, finest", "block": "blocks", "ascii": "plain ASCII"}


class SettingsScreen(ModalScreen[None]):
    """A short form over the screen one comes from."""

    CSS_PATH = "help.tcss"
    BINDINGS = [Binding("escape,q", "dismiss", "close")]

    def compose(self) -> ComposeResult:
        settings = rung_app(self).settings
        with VerticalScroll(id="settings", can_focus=False) as frame:
            frame.border_title = "Settings"
            frame.border_subtitle = "escape closes; changes are kept"
            yield Label("Theme (rung-16 uses the terminal's own colours)", markup=False)
            with RadioSet(id="theme"):
                for theme in THEMES:
                    yield RadioButton(theme.name, value=theme.name == settings.theme, name=theme.name)
            yield Label("Curves drawn in (for fonts without braille)", markup=False)
            with RadioSet(id="chart_mode"):
                for mode in CHART_MODES:
                    yield RadioButton(CHART_HELP[mode], value=mode == settings.chart_mode, name=mode)
            yield Label("Python interpreter of the workers (empty: the one Rung runs in)", markup=False)
            yield Input(settings.worker_python, placeholder="/path/to/python", id="worker_python")
            yield Label("Minutes after which an idle generation worker gives its memory back", markup=False)
            yield Input(str(settings.idle_minutes), type="integer", id="idle_minutes")

    @property
    def rung(self) -> RungApp:
        """The app, with its types."""
        return rung_app(self)

    def on_radio_set_changed(self, event: RadioSet.Changed) -> None:
        chosen = event.pressed.name or ""
        if event.radio_set.id == "theme":
            self.rung.change_settings(replace(self.rung.settings, theme=chosen))
        else:
            self.rung.change_settings(replace(self.rung.settings, chart_mode=chosen))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._keep(event.input)

    def on_input_blurred(self, event: Input.Blurred) -> None:
        self._keep(event.input)

    def _keep(self, box: Input) -> None:
        settings = self.rung.settings
        if box.id == "worker_python":
            settings = replace(settings, worker_python=box.value.strip())
        elif box.value.isdigit():
            settings = replace(settings, idle_minutes=int(box.value))
        if settings != self.rung.settings:
            self.rung.change_settings(settings)
