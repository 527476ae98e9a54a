"""The columns of the table of runs, and which of them fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rung.engine.jobs.fold import Curve
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.sparkline import sparkline
from rung.tui.text.words import clock_time, count, figure, one_line
from rung.tui.watch.watched_run import WatchedRun


@dataclass(frozen=True)
class Column:
    """A column of the table; those of a high `rank` go first where the terminal is narrow."""

    title: str
    width: int
    rank: int
    cell: Callable[[WatchedRun, Glyphs], str]


COLUMNS = (
    Column("state", 11, 0, lambda run, marks: f"{marks.states[run.status]} {run.status}"),
    Column("run", 14, 0, lambda run, _: one_line(run.short_id, 24)),
    Column("method", 6, 7, lambda run, _: one_line(run.method, 7)),
    Column("model", 14, 4, lambda run, _: one_line(run.model, 14)),
    Column("trained", 9, 6, lambda run, _: one_line(run.trained, 9)),
    Column("step", 11, 1, lambda run, _: _steps(run)),
    Column("loss", 6, 1, lambda run, _: figure(_loss(run).last)),
    Column("curve", 8, 2, lambda run, marks: sparkline(_loss(run).values, 8, marks)),
    Column("started", 11, 3, lambda run, _: clock_time(run.state.started)),
    Column("name", 16, 5, lambda run, _: one_line(run.label, 40)),
)
PADDING = 2


def columns_within(room: int) -> list[Column]:
    """The columns that fit into `room` cells."""
    shown = list(COLUMNS)
    while sum(column.width + PADDING for column in shown) > room and len(shown) > 3:
        shown.remove(max(shown, key=lambda column: column.rank))
    return shown


def widths_within(columns: Sequence[Column], room: int) -> list[int]:
    """The cells of each column; the last one gets what is left."""
    widths = [column.width for column in columns]
    widths[-1] += max(0, room - sum(width + PADDING for width in widths))
    return widths


def _steps(run: WatchedRun) -> str:
    if not run.caught_up:
        return ""
    total = run.state.total_steps
    return f"{count(run.state.step)}/{count(total)}" if total else count(run.state.step)


def _loss(run: WatchedRun) -> Curve:
    return run.state.curves.get("loss") or Curve()


def fits(run: WatchedRun, wanted: str) -> bool:
    """Whether a run has all the words wanted in its state, id, method, model or label."""
    text = f"{run.status} {run.id} {run.method} {run.model} {run.trained} {run.label}".lower()
    return all(word in text for word in wanted.lower().split())
