"""The Textual application: which screen stands where, what the background thread reports, and calls to the engine."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.signal import Signal

from rung.engine.core.errors import EngineError
from rung.engine.guide.recent_projects import remember_project
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.project import is_project
from rung.tui.settings.interpreter import take_python, worker_python
from rung.tui.settings.stored import Settings, load_settings, save_settings
from rung.tui.settings.themes import OUR_TOKENS, SIXTEEN, THEMES
from rung.tui.shell.covered_screens import CoveredScreensRest
from rung.tui.shell.key_order import OrderedKeys
from rung.tui.shell.screen import RungScreen
from rung.tui.shell.screen_table import screen_class, screens
from rung.tui.text.glyphs import Glyphs, glyphs
from rung.tui.watch.ladder import Ladder
from rung.tui.watch.messages import EventsRead, LadderRead, LivenessRead, LogRead, RunFound
from rung.tui.watch.tailer import Tailer
from rung.tui.watch.watched_run import WatchedRun

Result = TypeVar("Result")


def _palette() -> type[Provider]:
    from rung.tui.shell.palette import RungCommands

    return RungCommands


class ErrandDone(Message):
    """A call to the engine came back from its thread, or raised."""

    def __init__(self, done: Callable[[], object]) -> None:
        self.done = done
        super().__init__()


class RungApp(OrderedKeys, CoveredScreensRest):
    """The screens on one project. `replay` shows a recorded events file instead, to look at only.

    `start` is a screen's name, or "auto": the runs of a project, else the welcome screen. `run` opens that run.
    Raises EngineError when no run is called so, or there is no recording.
    """

    TITLE = "Rung"
    DEFAULT_MODE = "rung"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(entry.key, f"open('{entry.name}')", entry.title.lower(), tooltip=entry.help)
            for entry in screens().values()
            if entry.key
        ),
        Binding("comma", "settings", "settings", key_display=",", tooltip="theme, chart, workers"),
        Binding("escape", "go_back", "back", show=False, tooltip="to the screen before"),
        Binding("ctrl+p", "command_palette", "palette", show=False, tooltip="search everything that can be done"),
        Binding("question_mark", "help", "help", key_display="?", tooltip="all keys, screen by screen"),
        Binding("q", "quit", "quit", tooltip="leave; runs go on without the screen"),
    ]

    # None until the project is read for the first time.
    ladder: reactive[Ladder | None] = reactive(None)

    def __init__(
        self, root: Path, start: str = "auto", run: str | None = None, replay: Path | None = None, **options: Any
    ) -> None:
        self.settings = load_settings()
        # Under NO_COLOR Textual then drops colours instead of turning them grey.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None, **options)
        self.root = root.resolve()
        self.runs: dict[str, WatchedRun] = {}
        self.run_updated: Signal[str] = Signal(self, "run updated")
        self._start, self._replay = start, replay
        if replay is not None:
            self.set_reactive(RungApp.ladder, Ladder())
        if replay is not None and not replay.is_file():
            raise EngineError(f"There is no recording {replay}", hint="give the events.jsonl of a run")
        self._first_run = find_run(self.root, run) if run is not None else None
        self._kept: dict[str, Screen[Any]] = {}
        self._tailer = Tailer(self.root, self.post_message, replay)
        self.add_mode(self.DEFAULT_MODE, self._first_screen)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._theme_for(self.settings.theme)
        self.set_class(self.settings.chart_mode == "ascii", "-ascii")

    # What the screens read

    @property
    def project_name(self) -> str:
        """The project folder's name; of a recording, that it is one."""
        return "recording" if self._replay is not None else self.root.name

    @property
    def recorded(self) -> bool:
        """Whether this is a recording: nothing in it can be steered."""
        return self._replay is not None

    @property
    def glyphs(self) -> Glyphs:
        """The marks that the font can show."""
        return glyphs(self.settings.chart_mode)

    @property
    def any_live(self) -> bool:
        """Whether a run goes on."""
        return any(run.live for run in self.runs.values())

    @property
    def keys_wait(self) -> bool:
        """Whether the screen on top still reads what its keys act on."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        return isinstance(screen, RungScreen) and screen.opening

    def now(self) -> float:
        """Seconds since the epoch; in a recording the time of its last event."""
        if self._replay is not None:
            return max((run.state.time for run in self.runs.values()), default=0.0)
        return time.time()

    # Where one goes

    def _first_screen(self) -> Screen[Any]:
        run = self._replay.stem if self._replay is not None else self._first_run.id if self._first_run else None
        if run is not None:
            screen: Screen[Any] = screen_class("run")(run=run)
            return screen
        name = self._start
        if name == "auto":
            in_project = (self.root / "rung.yaml").exists() or (self.root / "runs").exists()
            name = "runs" if in_project or "welcome" not in screens() else "welcome"
        return self._kept.setdefault(name, screen_class(name)())

    def open_screen(self, name: str, **arguments: Any) -> None:
        """Go to a screen: back to it where it is already below, else on top. With arguments it is made anew."""
        if arguments:
            self.push_screen(screen_class(name)(**arguments))
            return
        if name not in self._kept:
            self._kept[name] = screen_class(name)()
            self.install_screen(self._kept[name], name)
        screen = self._kept[name]
        if screen in self.screen_stack:
            while self.screen is not screen:
                self.pop_screen()
        else:
            self.push_screen(screen)

    def open_run(self, run: str | RunFolder) -> None:
        """Go to a run's screen; a folder that is not followed yet is followed from now on."""
        if isinstance(run, RunFolder):
            self._tailer.follow(run)
            run = run.id
        self.open_screen("run", run=run)

    def open_project(self, root: Path, run: RunFolder | None = None) -> None:
        """Leave this project for another one, with its runs, its ladder and its screens; `run` is shown at once."""
        self._tailer.stop()
        if self._tailer.is_alive():
            self._tailer.join()
        # By then all that the old thread has posted is heard.
        self.call_later(self._enter, root.resolve(), run)

    def _enter(self, root: Path, run: RunFolder | None) -> None:
        self.root, self.ladder = root, None
        self.runs.clear()
        self._tailer = Tailer(root, self.post_message)
        self._tailer.start()
        self._remember()
        self._leave_screens()
        if run is not None:
            self.open_run(run)

    def _leave_screens(self) -> None:
        """Begin a stack of screens with the runs, and let go of those that were made for another project."""
        left, self._kept = self._kept, {"runs": screen_class("runs")()}
        installed = [screen for screen in left.values() if self.is_screen_installed(screen)]
        unseen = [screen for screen in installed if screen not in self.screen_stack]
        while len(self.screen_stack) > 1:
            self.pop_screen()
        # A mode of its own: Textual can't switch away from an app's first screen.
        before, mode = self.current_mode, f"project {self.root}"
        if mode == before:
            mode += " again"
        self.add_mode(mode, lambda runs=self._kept["runs"]: runs)  # type: ignore[misc]
        self.switch_mode(mode)
        for screen in installed:
            self.uninstall_screen(screen)
        for screen in unseen:
            screen.remove()
        if before.startswith("project "):
            self.remove_mode(before)

    def _remember(self) -> None:
        if is_project(self.root):
            self.errand(partial(remember_project, self.root))

    def action_open(self, name: str) -> None:
        """Open a screen of the table."""
        self.open_screen(name)

    def action_go_back(self) -> None:
        """To the screen below; from a lone run, to the runs."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif not self.recorded and self.screen is not self._kept.get("runs"):
            self.open_screen("runs")

    def action_help(self) -> None:
        """All keys."""
        from rung.tui.shell.help_screen import HelpScreen

        self.push_screen(HelpScreen())

    def action_settings(self) -> None:
        """The user's settings."""
        from rung.tui.shell.settings_screen import SettingsScreen

        self.push_screen(SettingsScreen())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what leads nowhere now."""
        if action == "open":
            return not self.recorded and self.screen is not self._kept.get(str(parameters[0]))
        if action == "go_back":
            return len(self.screen_stack) > 1 or not self.recorded
        return super().check_action(action, parameters)

    # What comes from threads

    def on_mount(self) -> None:
        if self._first_run is not None:
            self._tailer.follow(self._first_run)
        # After the first paint: what the thread imports and reads would delay it.
        self.call_after_refresh(self._tailer.start)
        if not self.recorded:
            self._remember()

    def on_unmount(self) -> None:
        self._tailer.stop()

    def read_log_of(self, run: str) -> None:
        """Ask for the end of this run's worker.log from now on."""
        self._tailer.read_log_of(run)

    def on_run_found(self, message: RunFound) -> None:
        known = self.runs.setdefault(message.run, WatchedRun(message.run, message.folder))
        known.recipe = message.recipe
        self.run_updated.publish(message.run)

    def on_events_read(self, message: EventsRead) -> None:
        run = self.runs[message.run]
        was_live = run.live
        run.fold(message.events)
        run.caught_up = run.caught_up or message.caught_up
        if message.events:
            self._tailer.folded()
        self._updated(run, was_live)

    def on_liveness_read(self, message: LivenessRead) -> None:
        run = self.runs[message.run]
        was_live = run.live
        run.alive, run.out_of_memory = message.alive, message.out_of_memory
        self._updated(run, was_live)

    def on_log_read(self, message: LogRead) -> None:
        self.runs[message.run].log_text = message.text
        self.run_updated.publish(message.run)

    def on_ladder_read(self, message: LadderRead) -> None:
        self.ladder = message.ladder
        self._show_ladder()

    def _updated(self, run: WatchedRun, was_live: bool) -> None:
        self.run_updated.publish(run.id)
        if run.live != was_live:
            self._show_ladder()

    def _show_ladder(self) -> None:
        if isinstance(self.screen, RungScreen) and self.screen.is_mounted:
            self.screen.show_ladder()

    # What goes to the engine

    def errand(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], object] = lambda _: None,
        failed: Callable[[], object] = lambda: None,
        refused: Callable[[EngineError], object] | None = None,
    ) -> None:
        """Call the engine in a thread, then `done` with what it gave.

        An EngineError is shown as a panel, or given to `refused`, after `failed` was called, and so is what the disk
        refuses.
        """

        def refuse(error: EngineError) -> None:
            failed()
            (refused or self.show_error)(error)

        def body() -> None:
            try:
                result = call()
            except EngineError as error:
                raised = error
                self.post_message(ErrandDone(lambda: refuse(raised)))
            except OSError as error:
                disk = EngineError(error.strerror or str(error), str(error.filename or ""))
                self.post_message(ErrandDone(lambda: refuse(disk)))
            else:
                self.post_message(ErrandDone(lambda: done(result)))

        self.run_worker(body, thread=True, group="errands")

    def on_errand_done(self, message: ErrandDone) -> None:
        # An app that ends has no widgets left to show it on.
        if self.is_running:
            message.done()

    @property
    def worker_python(self) -> str | None:
        """The interpreter of workers for this project: its own, or the settings'; None: the one Rung runs in."""
        return worker_python(self.root, self.settings.worker_python)

    def take_python(self, python: str) -> None:
        """Let workers run in that interpreter: of this project, or where there is none, of all that name none."""
        said = f"Workers run in {python} from now on: start it again."
        if is_project(self.root):
            self.errand(lambda: take_python(python, self.root), lambda _: self.notify(said, markup=False))
        else:
            self.change_settings(replace(self.settings, worker_python=python))
            self.notify(said, markup=False)

    def show_error(self, error: EngineError) -> None:
        """Show what went wrong, over the screen."""
        from rung.tui.shell.dialogs import ErrorPanel

        self.forget_waiting_keys()
        self.push_screen(ErrorPanel(error))

    def change_settings(self, settings: Settings) -> None:
        """Use these settings from now on, and keep them."""
        self.settings = settings
        self.theme = self._theme_for(settings.theme)
        self.set_class(settings.chart_mode == "ascii", "-ascii")
        self.errand(lambda: _save(settings))
        for run in self.runs:
            self.run_updated.publish(run)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of the curves for themes that are not ours."""
        return OUR_TOKENS

    def _theme_for(self, name: str) -> str:
        # Without colour only the terminal's own foreground and background are left, which that theme uses.
        wanted = SIXTEEN.name if self.no_color else name
        return wanted if wanted in self.available_themes else THEMES[0].name


def _save(settings: Settings) -> None:
    try:
        save_settings(settings)
    except OSError as error:
        raise EngineError("The settings can't be saved", str(error), "they hold until you leave") from error


def rung_app(screen: Screen[Any]) -> RungApp:
    """The app of a screen, with its types."""
    return cast(RungApp, screen.app)
