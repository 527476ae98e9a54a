"""One run: its curves, memory, probe, samples and log as they come, and the keys that steer it."""

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from rung.tui.run.banner import Banner
from rung.tui.run.curves import CurvesPanel
from rung.tui.run.log import LogPanel
from rung.tui.run.memory import MemoryPanel
from rung.tui.run.probe import ProbePanel
from rung.tui.run.progress import ProgressPanel
from rung.tui.run.questions import ask_metric, ask_overlay
from rung.tui.run.samples import SamplesPanel
from rung.tui.shell import run_actions
from rung.tui.shell.screen import RungScreen
from rung.tui.shell.screen_table import screens
from rung.tui.shell.title_bar import TitleBar
from rung.tui.text.glyphs import STATE_COLORS
from rung.tui.text.words import duration, printable
from rung.tui.watch.watched_run import WatchedRun
from rung.tui.widgets.tab_line import TabLine

PROMPTS = "another pinned prompt"
ANSWERS = "what was answered at another step"
TABS = ("Loss", "Memory", "Probe", "Samples", "Log")
# At most so often: each redraw costs milliseconds here and kilobytes on the wire.
REDRAW_SECONDS = 0.3


class RunScreen(RungScreen):
    """Follows one run by its id; everything shown is a fold of its events."""

    CSS_PATH = ["../shell/screen.tcss", "../chart/chart.tcss", "run.tcss"]
    AUTO_FOCUS = "#curves-chart"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", "stop", tooltip="save, then end"),
        Binding("x", "cancel", "cancel", tooltip="end without saving; asks first"),
        Binding("k", "checkpoint", "checkpoint", tooltip="save now and go on"),
        Binding("R", "resume", "resume", tooltip="go on from the last checkpoint"),
        Binding("c", "compare", "compare", tooltip="answers of the base and of this run side by side"),
        Binding("o", "overlay", "overlay", tooltip="lay an earlier run's curve over this one, or take it away"),
        Binding("slash", "choose_metric", "metrics", key_display="/", tooltip="choose what is drawn"),
        Binding("m", "turn_metric(1)", "next metric", show=False, tooltip="draw the next figure"),
        Binding("M", "turn_metric(-1)", "metric before", show=False, tooltip="draw the figure before"),
        Binding("plus", "add_metric", "add a metric", key_display="+", show=False, tooltip="draw one more beside"),
        Binding("y", "toggle_log", "log y", show=False, tooltip="logarithmic or linear values"),
        Binding("e", "smooth", "smoothing", show=False, tooltip="none, .6, .8, .9, .97, .99"),
        Binding("z", "zoom(0.5)", "zoom", show=False, tooltip="show half the steps, around the cursor or the newest"),
        Binding("Z", "zoom(2.0)", "zoom out", show=False, tooltip="show twice the steps"),
        Binding("0", "reset_view", "show all", show=False, tooltip="all steps, no cursor"),
        Binding("l", "toggle_log_panel", "log", tooltip="samples or log"),
        Binding("left_square_bracket", "prompt(-1)", "prompt before", key_display="[", show=False, tooltip=PROMPTS),
        Binding("right_square_bracket", "prompt(1)", "next prompt", key_display="]", show=False, tooltip=PROMPTS),
        Binding("less_than_sign", "sample(-1)", "earlier answer", key_display="<", show=False, tooltip=ANSWERS),
        Binding("greater_than_sign", "sample(1)", "later answer", key_display=">", show=False, tooltip=ANSWERS),
        *(
            Binding(str(number), f"tab({number - 1})", title, show=False, tooltip="its panel, on a narrow terminal")
            for number, title in enumerate(TABS, start=1)
        ),
    ]

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run_id = run
        self._drawn_at = 0.0
        self._waiting: Timer | None = None
        self._status = ""

    def compose_side(self) -> ComposeResult:
        yield ProgressPanel(id="progress")

    def compose_body(self) -> ComposeResult:
        yield Banner(id="banner")
        yield TabLine(TABS)
        yield CurvesPanel(id="curves")
        with Horizontal(id="row"):
            yield MemoryPanel(id="memory")
            yield ProbePanel(id="probe")
        with Horizontal(id="foot"):
            yield SamplesPanel(id="samples")
            yield LogPanel(id="log")

    @property
    def run(self) -> WatchedRun:
        """The run on screen; an empty one until the tailer has found it."""
        return self.rung.runs.get(self.run_id) or WatchedRun(self.run_id, None)

    def on_mount(self) -> None:
        self.set_where("runs", self.run_id)
        self._clock = self.set_interval(1.0, self._tick)
        self.add_class("-tab-0")

    def on_screen_resume(self) -> None:
        self._clock.resume()
        self.rung.read_log_of(self.run_id)
        self.draw()

    def on_screen_suspend(self) -> None:
        self._clock.pause()

    def redraw(self) -> None:
        """For another size."""
        self.draw()

    def on_chart_changed(self) -> None:
        self.query_one(CurvesPanel).show(self.run, self.rung.settings.chart_mode)

    def on_tab_line_chosen(self, message: TabLine.Chosen) -> None:
        self.action_tab(message.index)

    def run_updated(self, run: str) -> None:
        """The run or one laid over it: again, not more often than can be followed."""
        mine = run == self.run_id or any(run == overlay.id for overlay in self.query_one(CurvesPanel).overlays)
        if not mine or self._waiting is not None:
            return
        wait = self._drawn_at + REDRAW_SECONDS - time.monotonic()
        if wait <= 0:
            self.draw()
        else:
            self._waiting = self.set_timer(wait, self._draw_in_sight)

    def _tick(self) -> None:
        if self.run.live:
            self._show_progress()

    def _draw_in_sight(self) -> None:
        self._waiting = None
        if self.is_active:
            self.draw()

    def draw(self) -> None:
        """Bring everything in sight up to date."""
        self._drawn_at = time.monotonic()
        run, app = self.run, self.rung
        marks, mode = app.glyphs, app.settings.chart_mode
        if run.status != self._status:
            self._status_changed(run)
        self._show_progress()
        self.query_one(Banner).show(run, marks, self._can_compare())
        if _in_sight(curves := self.query_one(CurvesPanel)):
            curves.show(run, mode)
        if _in_sight(memory := self.query_one(MemoryPanel)):
            memory.show(run, marks)
        if _in_sight(probe := self.query_one(ProbePanel)):
            probe.show(run, marks, mode)
        if _in_sight(samples := self.query_one(SamplesPanel)):
            samples.show(run, marks)
        if _in_sight(log := self.query_one(LogPanel)):
            log.show(run)

    def _status_changed(self, run: WatchedRun) -> None:
        if run.status in {"crashed", "failed"}:
            # What the user wants to read then is the log.
            self.add_class("-log")
        self._status = run.status
        self.refresh_bindings()

    def _show_progress(self) -> None:
        run, app = self.run, self.rung
        marks, now = app.glyphs, app.now()
        self.query_one(ProgressPanel).show(run, now, marks)
        wide = self.has_class("-wide")
        facts = "  ".join(word for word in (printable(run.model), run.trained, run.method) if word)
        seconds = run.elapsed(now)
        elapsed = "" if seconds is None else duration(seconds)
        recorded = " recording" if app.recorded else ""
        self.query_one(TitleBar).facts = Content.assemble(
            (f"{facts}   " if wide else "", "$muted"),
            (f"{marks.states[run.status]} {run.status}", f"bold {STATE_COLORS[run.status]}"),
            (recorded, "$muted"),
            f" {elapsed} ",
        )

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what is impossible now."""
        if action in {"stop", "cancel", "checkpoint", "resume"}:
            return action in run_actions.possible_actions(self.run)
        if action == "compare":
            return self._can_compare()
        if action == "overlay":
            return len(self.rung.runs) > 1
        if action == "tab":
            return self.has_class("-narrow")
        if action == "toggle_log_panel":
            return self.has_class("-wide") and self.has_class("-short")
        return True

    def _can_compare(self) -> bool:
        return "compare" in screens() and self.run.folder is not None and bool(self.run.state.checkpoints)

    def action_stop(self) -> None:
        """Save, then end."""
        run_actions.stop(self.rung, self.run)

    def action_cancel(self) -> None:
        """End without saving."""
        run_actions.cancel(self.rung, self.run)

    def action_checkpoint(self) -> None:
        """Save now."""
        run_actions.checkpoint(self.rung, self.run)

    def action_resume(self) -> None:
        """Go on."""
        run_actions.resume(self.rung, self.run)

    def action_compare(self) -> None:
        """Base and this run side by side."""
        self.rung.open_screen("compare", run=self.run_id)

    def action_overlay(self) -> None:
        """Choose an earlier run to lay over, or one to take away."""
        ask_overlay(self.rung, self.run_id, self.query_one(CurvesPanel), self.draw)

    def action_choose_metric(self) -> None:
        """Choose the figure to draw."""
        ask_metric(self.rung, self.run, self.query_one(CurvesPanel), self.draw, beside=False)

    def action_add_metric(self) -> None:
        """Choose a figure to draw beside, or to take away."""
        ask_metric(self.rung, self.run, self.query_one(CurvesPanel), self.draw, beside=True)

    def action_turn_metric(self, by: int) -> None:
        """The next or the figure before."""
        self.query_one(CurvesPanel).turn_metric(self.run, by)
        self.draw()

    def action_smooth(self) -> None:
        """The next level of smoothing."""
        self.query_one(CurvesPanel).next_smoothing()
        self.draw()

    def action_toggle_log(self) -> None:
        """Logarithmic or linear."""
        self.query_one(CurvesPanel).chart.action_toggle_log()

    def action_zoom(self, factor: float) -> None:
        """Fewer or more steps."""
        self.query_one(CurvesPanel).chart.action_zoom(factor)

    def action_reset_view(self) -> None:
        """All steps."""
        self.query_one(CurvesPanel).chart.action_reset_view()

    def action_prompt(self, by: int) -> None:
        """Another pinned prompt."""
        self.query_one(SamplesPanel).turn_prompt(by)

    def action_sample(self, by: int) -> None:
        """An earlier or later answer."""
        self.query_one(SamplesPanel).turn_step(by)

    def action_toggle_log_panel(self) -> None:
        """Samples or log at the foot."""
        self.toggle_class("-log")
        self.call_after_refresh(self.draw)

    def action_tab(self, index: int) -> None:
        """Show one panel, on a narrow terminal."""
        for other in range(len(TABS)):
            self.set_class(other == index, f"-tab-{other}")
        self.query_one(TabLine).current = index
        self.query_one(("#curves-chart", "#memory", "#probe Chart", "#samples", "#log")[index]).focus()
        self.call_after_refresh(self.draw)


def _in_sight(widget: Widget) -> bool:
    return widget.display and all(node.display for node in widget.ancestors if isinstance(node, Widget))
