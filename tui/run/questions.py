"""What the Run screen asks about its chart: which figures to draw, and which earlier runs to lay over."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rung.tui.run.curves import CurvesPanel, metric_names
from rung.tui.shell.dialogs import ChoiceDialog
from rung.tui.watch.watched_run import WatchedRun

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp


def ask_overlay(app: "RungApp", run_id: str, curves: CurvesPanel, draw: Callable[[], None]) -> None:
    """Lay the chosen run over this one, or take it away where it lies there already."""
    shown = {run.id for run in curves.overlays}
    choices = {
        run.id: f"{'take away ' if run.id in shown else ''}{run.id}  {run.model} {run.trained} {run.label}"
        for run in sorted(app.runs.values(), key=lambda run: run.id, reverse=True)
        if run.id != run_id
    }

    def chosen(run: str | None) -> None:
        if run is None:
            return
        others = tuple(overlay for overlay in curves.overlays if overlay.id != run)
        curves.overlays = others if run in shown else (*others, app.runs[run])
        draw()

    app.push_screen(ChoiceDialog("Lay a run over this one", choices), chosen)


def ask_metric(app: "RungApp", run: WatchedRun, curves: CurvesPanel, draw: Callable[[], None], *, beside: bool) -> None:
    """Draw the chosen figure: alone, or `beside` those that are drawn, from which it is taken when it is one."""
    choices = {name: f"{'* ' if name in curves.metrics else '  '}{name}" for name in metric_names(run)}

    def chosen(name: str | None) -> None:
        if name is None:
            return
        if beside:
            curves.toggle_metric(name)
        else:
            curves.metrics = (name,)
        draw()

    title = "Draw beside, or take away" if beside else "Draw"
    app.push_screen(ChoiceDialog(title, choices, "No figures yet."), chosen)
