"""A run's curves: one figure or several, raw and smoothed, with evaluations and earlier runs beside."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from textual.app import ComposeResult
from textual.containers import Vertical

from rung.engine.jobs.fold import PAIRS_PREFIX, Curve
from rung.engine.training.methods import METHODS
from rung.tui.chart import Chart, Series
from rung.tui.chart.smooth import LEVELS, Smoothed
from rung.tui.run.progress import phase_words
from rung.tui.text.words import printable
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.titles import set_titles

UNITS = {
    "loss": "nats/token",
    "evaluation/loss": "nats/token",
    "tokens_per_second": "tokens/s",
    "seconds": "s/step",
}
# In blocks or braille, and in ASCII.
EVALUATION_MARKS = ("◆", "o")
OVERLAY_LETTERS = "abcdefgh"
FIRST = ("loss", "learning_rate", "grad_norm", "tokens_per_second")


class CurvesPanel(Vertical):
    """The chart of the chosen figures of one run."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.metrics: tuple[str, ...] = ("loss",)
        self.smoothing = 0.8
        self.overlays: tuple[WatchedRun, ...] = ()
        self._smoothed: dict[tuple[str, int, str, float], Smoothed] = {}

    def compose(self) -> ComposeResult:
        yield Chart(id="curves-chart")

    @property
    def chart(self) -> Chart:
        """The chart itself."""
        return self.query_one(Chart)

    def show(self, run: WatchedRun, chart_mode: str) -> None:
        """Draw the run's curves as they are now."""
        chart = self.chart
        chart.mode = chart_mode
        metrics = self._drawn(run)
        chart.placeholder = _why_empty(run, metrics)
        ascii_only = chart_mode == "ascii"
        series: list[Series] = []
        for place, overlay in enumerate(self.overlays):
            series += self._overlay_series(overlay, place)
        for place, metric in enumerate(metrics):
            series += self._series(run, metric, place, ascii_only)
        # Pairs are made before the first step, and counted in prompts.
        over_steps = not all(metric.startswith(PAIRS_PREFIX) for metric in metrics)
        chart.show(series, run.state.total_steps if over_steps else None)
        self._write_titles(chart, metrics)

    def next_smoothing(self) -> None:
        """The next level, around to none."""
        later = [level for level in LEVELS if level > self.smoothing]
        self.smoothing = later[0] if later else LEVELS[0]

    def turn_metric(self, run: WatchedRun, by: int) -> None:
        """The next figure, or the one before, alone."""
        names = metric_names(run)
        if not names:
            return
        at = names.index(self.metrics[0]) + by if self.metrics and self.metrics[0] in names else 0
        self.metrics = (names[at % len(names)],)

    def toggle_metric(self, name: str) -> None:
        """Add a figure beside the others, or take it away; the last one stays."""
        if name not in self.metrics:
            self.metrics = (*self.metrics, name)
        elif len(self.metrics) > 1:
            self.metrics = tuple(metric for metric in self.metrics if metric != name)

    def _drawn(self, run: WatchedRun) -> tuple[str, ...]:
        """The chosen figures; where nothing was chosen and there is no loss yet, what comes before it."""
        before = tuple(name for name in metric_names(run) if name.startswith(PAIRS_PREFIX))[:1]
        return before if before and self.metrics == ("loss",) and "loss" not in run.state.curves else self.metrics

    def _write_titles(self, chart: Chart, metrics: Sequence[str]) -> None:
        units = {UNITS[metric] for metric in metrics if metric in UNITS}
        unit = f", {units.pop()}" if len(units) == 1 else ""
        state = [
            "y log" if chart.log_scale else "y linear",
            f"smoothing {self.smoothing:g}" if self.smoothing else "raw",
        ]
        if chart.window.left is not None:
            state.append("zoomed, 0 shows all")
        set_titles(self, printable(" + ".join(metrics)) + unit, "  ".join(state))

    def _series(self, run: WatchedRun, metric: str, place: int, ascii_only: bool) -> list[Series]:
        curve, evaluation = run.state.curves.get(metric), run.state.curves.get(f"evaluation/{metric}")
        color = (1, 3, 4, 5)[place % 4]
        series = []
        if curve is not None:
            series += self._curve_series(run, metric, curve, color, ascii_only)
        if evaluation is not None:
            key, mark = f"{run.id}/{run.generation}/evaluation/{metric}", EVALUATION_MARKS[ascii_only]
            steps, values = evaluation.steps, evaluation.values
            series.append(Series(key, "evaluation", steps, values, 2, "dashed", mark, marked=True))
        return series

    def _curve_series(self, run: WatchedRun, metric: str, curve: Curve, color: int, ascii_only: bool) -> list[Series]:
        key, name, steps = f"{run.id}/{run.generation}/{metric}", printable(metric), curve.steps
        if metric.startswith(("evaluation/", "probe/", PAIRS_PREFIX)):
            return [Series(key, name, steps, curve.values, color, mark=EVALUATION_MARKS[ascii_only], marked=True)]
        if not self.smoothing:
            return [Series(key, name, steps, curve.values, color)]
        smooth = self._smooth(run, metric).values
        return [
            Series(key, name, steps, curve.values, color, "points", ".", dim=True),
            Series(f"{key}/{self.smoothing}", "smoothed", steps, smooth, color),
        ]

    def _overlay_series(self, run: WatchedRun, place: int) -> list[Series]:
        metric = self.metrics[0]
        curve = run.state.curves.get(metric)
        if curve is None:
            return []
        values = self._smooth(run, metric).values if self.smoothing else curve.values
        key = f"{run.id}/{run.generation}/{metric}/{self.smoothing}"
        mark = OVERLAY_LETTERS[place % len(OVERLAY_LETTERS)]
        return [Series(key, run.short_id, curve.steps, values, (6, 4, 5)[place % 3], "dotted", mark)]

    def _smooth(self, run: WatchedRun, metric: str) -> Smoothed:
        key = (run.id, run.generation, metric, self.smoothing)
        smoothed = self._smoothed.setdefault(key, Smoothed(self.smoothing))
        smoothed.extend(run.state.curves[metric].values)
        for old in [other for other in self._smoothed if other[3] != self.smoothing]:
            del self._smoothed[old]
        return smoothed


def metric_names(run: WatchedRun) -> list[str]:
    """The figures that have a curve: the common ones first, then those the method is known by, then the others."""
    names = [name for name, curve in run.state.curves.items() if len(curve.values)]
    first = (*FIRST, *(METHODS[run.method].curves if run.method in METHODS else ()))

    def place(name: str) -> int:
        return next((number for number, known in enumerate(first) if fnmatchcase(name, known)), len(first))

    return sorted(names, key=lambda name: (place(name), name.startswith(("evaluation/", "probe/")), name))


def _why_empty(run: WatchedRun, metrics: Sequence[str]) -> str:
    if not run.caught_up:
        return READING
    if run.status in {"failed", "crashed", "cancelled", "stopped"}:
        return f"The run ended before its first {metrics[0]}."
    if run.status == "queued" and not run.state.phase:
        return f"Waiting for {printable(run.state.waits_for)}. The curve begins with the first step."
    if run.state.over:
        return f"No {printable(metrics[0])} in this run."
    return f"No {printable(metrics[0])} yet: {phase_words(run)}."
