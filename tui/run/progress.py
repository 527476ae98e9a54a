"""How far a run is: phase, step, epoch, time left, and its newest figures."""

from textual.content import Content

from rung.tui.text.glyphs import Glyphs, bar
from rung.tui.text.phases import amount
from rung.tui.text.sparkline import sparkline
from rung.tui.text.words import count, duration, figure, printable
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.text_panel import TextPanel

LABEL_WIDTH = 7
# Label, curve, and how many digits.
FIGURES = (
    ("loss", "loss", 3),
    ("eval", "evaluation/loss", 3),
    ("tok/s", "tokens_per_second", 3),
    ("lr", "learning_rate", 3),
    ("grad", "grad_norm", 3),
)


class ProgressPanel(TextPanel):
    """A column of figures where there is room, one line below 100 columns."""

    BORDER_TITLE = "Progress"

    def show(self, run: WatchedRun, now: float, marks: Glyphs) -> None:
        """Show this run's figures at the moment `now`."""
        if self.screen.has_class("-narrow"):
            self.put(progress_line(run, marks))
        else:
            self.put(progress_table(run, now, marks, max(12, self.content_size.width)))


def progress_line(run: WatchedRun, marks: Glyphs) -> Content:
    """`train ▇▇▇░░ 412/1,240 33 %  left 00:25:10  loss 0.642  18,420 tok/s`."""
    state = run.state
    if not run.caught_up:
        return Content.styled(READING, "$muted")
    parts: list[tuple[str, str]] = [(f"{phase_words(run)} ", "bold")]
    fraction = done_fraction(run)
    if fraction is not None:
        parts.append((f"{bar(fraction, 10, marks)} {fraction:.0%}", ""))
    parts.append((f"  step {count(state.step)}", ""))
    parts.append((f"/{count(state.total_steps)}" if state.total_steps else "", "$muted"))
    left = state.seconds_left() if run.live or run.folder is None else None
    if left is not None:
        parts.append((f"  left {duration(left)}", ""))
    for label, name in (("loss", "loss"), ("tok/s", "tokens_per_second")):
        curve = state.curves.get(name)
        if curve is not None and curve.last is not None:
            parts.append((f"  {label} {figure(curve.last)}", ""))
    return Content.assemble(*parts)


def progress_table(run: WatchedRun, now: float, marks: Glyphs, width: int) -> Content:
    """One figure a line; those with a history have a small curve behind them."""
    state = run.state
    if not run.caught_up:
        return Content.styled(READING, "$muted")
    lines = [Content.styled(phase_words(run), "bold")]
    fraction = done_fraction(run)
    if fraction is not None:
        lines.append(Content(f"{bar(fraction, width - 6, marks)} {fraction:4.0%}"))
    total = f" / {count(state.total_steps)}" if state.total_steps else ""
    lines.append(_line("step", f"{count(state.step)}{total}"))
    if state.epoch:
        lines.append(_line("epoch", f"{state.epoch:.2f}"))
    if state.started is not None:
        lines.append(_line("time", duration(run.elapsed(now))))
    left = state.seconds_left() if run.live or run.folder is None else None
    if left is not None:
        lines.append(_line("left", duration(left)))
    for label, name, digits in FIGURES:
        curve = state.curves.get(name)
        if curve is None or not len(curve.values):
            continue
        text = f"{figure(curve.last, digits):<8}"
        room = width - LABEL_WIDTH - len(text)
        spark = sparkline(curve.values, min(8, room), marks) if len(curve.values) > 2 else ""
        lines.append(_line(label, text, spark))
    if state.tokens is not None:
        lines.append(_line("tokens", count(state.tokens)))
    if state.checkpoints:
        lines.append(_line("saved", f"step {count(state.checkpoints[-1].get('step'))}"))
    return Content("\n").join(lines)


def phase_words(run: WatchedRun) -> str:
    """What the run is doing: its phase while it goes on, its state word after."""
    state = run.state
    if not run.live and run.folder is not None or state.over:
        return run.status
    if not state.phase:
        return state.status
    words = printable(state.phase)
    if state.phase != "train" and not state.phase_total and state.phase_unit:
        words += f" {printable(state.phase_unit)}"
    if state.phase != "train" and state.phase_total:
        words += f" {amount(state.phase_done, state.phase_total, state.phase_unit)}"
    return words


def done_fraction(run: WatchedRun) -> float | None:
    """How much of the phase that goes on is done, or of the training; None where nobody knows."""
    state = run.state
    if state.phase and state.phase != "train" and not state.over and state.phase_total:
        return min(1.0, (state.phase_done or 0) / state.phase_total)
    return min(1.0, state.step / state.total_steps) if state.total_steps else None


def _line(label: str, value: str, spark: str = "") -> Content:
    return Content.assemble((f"{label:<{LABEL_WIDTH}}", "$muted"), value, (spark, "$text-accent"))
