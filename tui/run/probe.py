"""The forgetting meter: what the probe said before training and says now, and its curve."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from rung.engine.jobs.fold import Curve
from rung.engine.training.probe.items import COUNTS
from rung.tui.chart import Chart, Series
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import figure, printable
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.text_panel import TextPanel

PREFIX = "probe/"
MOST_LINES = 2
_FIRST = ("perplexity", "option_accuracy", "kl")


class ProbePanel(Vertical):
    """A line a figure, and the curve of the first one."""

    BORDER_TITLE = "Forgetting"

    def compose(self) -> ComposeResult:
        yield TextPanel(classes="auto")
        yield Chart()

    def show(self, run: WatchedRun, marks: Glyphs, chart_mode: str) -> None:
        """Show the probe's figures."""
        names = probe_names(run)
        self.query_one(TextPanel).put(probe_text(run, names, marks))
        chart = self.query_one(Chart)
        chart.mode = chart_mode
        chart.display = bool(names)
        if names:
            curve = run.state.curves[names[0]]
            mark = "o" if marks.cut == "~" else "◆"
            key = f"{run.id}/{run.generation}/{names[0]}"
            label = printable(names[0].removeprefix(PREFIX))
            series = Series(key, label, curve.steps, curve.values, color=4, mark=mark, marked=True)
            chart.show([series], run.state.total_steps)


def probe_names(run: WatchedRun) -> list[str]:
    """The probe's curves, perplexity first, then the questions by the options' texts; no counts."""
    counts = {PREFIX + name for name in COUNTS}
    names = [name for name, curve in run.state.curves.items() if name.startswith(PREFIX) and len(curve.values)]
    return sorted((name for name in names if name not in counts), key=_place)


def _place(name: str) -> tuple[int, str]:
    bare = name.removeprefix(PREFIX)
    return (_FIRST.index(bare) if bare in _FIRST else len(_FIRST), bare)


def probe_text(run: WatchedRun, names: list[str], marks: Glyphs) -> Content:
    """`perplexity 12.1 → 12.9 (+6.6 %)  95 % 12.1 to 13.8  limit +10 %`, a line each."""
    if not names:
        return Content.styled(_why_none(run), "$muted")
    lines = []
    arrow = "->" if marks.cut == "~" else "→"
    for name in names[:MOST_LINES]:
        label = (f"{printable(name.removeprefix(PREFIX))}  ", "$muted")
        newest = _interval(run.state.probe_intervals.get(name.removeprefix(PREFIX)))
        lines.append(Content.assemble(label, *_change(run.state.curves[name], arrow), (newest, "$muted")))
    if run.probe_limit is not None:
        lines[0] = Content.assemble(lines[0], (f"  limit {run.probe_limit:+.0%}", "$muted"))
    if len(names) > MOST_LINES:
        lines.append(Content.styled(f"and {len(names) - MOST_LINES} more: / draws them", "$muted"))
    return Content("\n").join(lines)


def _why_none(run: WatchedRun) -> str:
    if not run.caught_up:
        return READING
    settings = run.recipe.get("probe")
    if isinstance(settings, dict) and settings.get("source", "builtin") is None:
        return "The recipe turns the probe off."
    return "No probe in this run." if run.state.over else "No probe yet: it runs before training and along with it."


def _interval(ends: list[float] | None) -> str:
    return f"  95 % {figure(ends[0])} to {figure(ends[1])}" if ends else ""


def _change(curve: Curve, arrow: str) -> list[tuple[str, str]]:
    """The first and the newest reading and how far apart they are; of one reading, itself."""
    first, last = next((value for value in curve.values if value == value), None), curve.last
    if len(curve.values) < 2:
        return [(figure(last), "")]
    share = f"  ({(last - first) / abs(first):+.1%})" if first and last is not None else ""
    return [(f"{figure(first)} {arrow} {figure(last)}", ""), (share, "bold")]
