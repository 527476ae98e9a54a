"""Every run of the project in one table, live ones as they go; enter opens one."""

import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import DataTable, Input

from rung.engine.core.errors import EngineError
from rung.tui.runs.columns import Column, columns_within, fits, widths_within
from rung.tui.runs.table import RunsTable
from rung.tui.shell import run_actions
from rung.tui.shell.screen import RungScreen
from rung.tui.watch.watched_run import WatchedRun
from rung.tui.widgets.text_panel import TextPanel

REDRAW_SECONDS = 0.5

NO_RUNS = """No runs yet.

n starts one of this project's recipes.
On the command line: rung run RECIPE
Any run of this project shows up here within a second."""
READING = "Reading the runs …"


class RunsScreen(RungScreen):
    """The table of runs, newest first."""

    CSS_PATH = ["../shell/screen.tcss", "runs.tcss"]
    AUTO_FOCUS = "DataTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_selected", "open", priority=True, tooltip="the run's own screen"),
        Binding("n", "start", "new run", tooltip="start a recipe of this project"),
        Binding("slash,i", "filter", "filter", key_display="/", tooltip="by state, method, model, name or tag"),
        Binding("s", "stop", "stop", tooltip="save, then end"),
        Binding("x", "cancel", "cancel", tooltip="end without saving; asks first"),
        Binding("k", "checkpoint", "checkpoint", show=False, tooltip="save now and go on"),
        Binding("R", "resume", "resume", tooltip="go on from the last checkpoint"),
        # Before the app's own: the filter is left before the screen is.
        Binding("escape", "show_all", "show all", show=False, tooltip="all runs again; then to the screen before"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""
        self._columns: list[tuple[Column, int]] = []
        self._rows: dict[str, tuple[str, ...]] = {}
        self._waiting: Timer | None = None
        self._drawn_at = 0.0

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="filter by state, method, model, name or #tag; escape clears", id="filter")
        yield TextPanel(id="empty")
        yield RunsTable(cursor_type="row", zebra_stripes=False, id="table")

    def on_mount(self) -> None:
        self.set_where("runs")
        self.query_one("#filter").display = False

    def on_screen_resume(self) -> None:
        self.draw()

    def show_ladder(self) -> None:
        """The ladder comes after the runs: where none came, there is none."""
        super().show_ladder()
        self._show_empty(bool(self._rows))

    def redraw(self) -> None:
        """For another size."""
        self.draw()

    def run_updated(self, run: str) -> None:
        """The table again, not more often than can be followed."""
        if self._waiting is not None:
            return
        wait = self._drawn_at + REDRAW_SECONDS - time.monotonic()
        if wait <= 0:
            self.draw()
        else:
            self._waiting = self.set_timer(wait, self._draw_in_sight)

    def _draw_in_sight(self) -> None:
        self._waiting = None
        if self.is_active:
            self.draw()

    def draw(self) -> None:
        """Bring the table up to date, touching only what changed."""
        self._drawn_at = time.monotonic()
        table, selected = self.query_one(RunsTable), self._selected_id()
        room = self._table_width()
        columns = columns_within(room)
        self._fit_columns(table, list(zip(columns, widths_within(columns, room), strict=True)))
        runs = [run for run in self._newest_first() if fits(run, self._wanted)]
        rows = {run.id: tuple(column.cell(run, self.rung.glyphs) for column in columns) for run in runs}
        if list(rows) == list(self._rows):
            for run, cells in rows.items():
                for column, old, new in zip(columns, self._rows[run], cells, strict=True):
                    if old != new:
                        table.update_cell(run, column.title, Text(new))
        else:
            self._replace_rows(table, rows, selected)
        self._rows = rows
        self._show_empty(bool(rows))
        self.refresh_bindings()

    def _table_width(self) -> int:
        side = self.query_one("#side").size.width if self.has_class("-wide") else 0
        return self.size.width - side

    def _fit_columns(self, table: RunsTable, columns: list[tuple[Column, int]]) -> None:
        """The columns that fit now; where these are others, the rows come anew too."""
        if columns == self._columns:
            return
        table.clear(columns=True)
        for column, width in columns:
            table.add_column(column.title, width=width, key=column.title)
        self._columns, self._rows = columns, {}

    def _replace_rows(self, table: RunsTable, rows: dict[str, tuple[str, ...]], selected: str) -> None:
        table.clear()
        for run, cells in rows.items():
            table.add_row(*map(Text, cells), key=run)
        if selected in rows:
            table.move_cursor(row=list(rows).index(selected))

    def _show_empty(self, any_rows: bool) -> None:
        empty = self.query_one("#empty", TextPanel)
        empty.display = not any_rows
        self.query_one(DataTable).display = any_rows
        if self.rung.ladder is None:
            empty.put(READING)
        else:
            empty.put(f"No run fits {self._wanted!r}. Escape shows all." if self._wanted else NO_RUNS)

    def _newest_first(self) -> list[WatchedRun]:
        return sorted(self.rung.runs.values(), key=lambda run: run.id, reverse=True)

    def _selected_id(self) -> str:
        row = self.query_one(DataTable).cursor_row
        ids = list(self._rows)
        return ids[row] if 0 <= row < len(ids) else ""

    def selected(self) -> WatchedRun | None:
        """The run under the cursor."""
        return self.rung.runs.get(self._selected_id())

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what is impossible for the run under the cursor."""
        if action in {"stop", "cancel", "checkpoint", "resume"}:
            return action in run_actions.possible_actions(self.selected())
        if action == "open_selected":
            return isinstance(self.focused, DataTable) and self.selected() is not None
        return True

    def on_data_table_row_highlighted(self) -> None:
        self.refresh_bindings()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        self.rung.open_run(str(event.row_key.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        self._wanted = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        self.query_one(DataTable).focus()

    def action_filter(self) -> None:
        """Type words that a run must contain."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)

    def action_show_all(self) -> None:
        """Clear the filter, or leave the screen."""
        box = self.query_one("#filter", Input)
        if not box.display:
            self.rung.action_go_back()
            return
        box.value = ""
        box.display = False
        self.query_one(DataTable).focus()

    def action_open_selected(self) -> None:
        """The run's own screen."""
        run = self.selected()
        if run is not None:
            self.rung.open_run(run.id)

    def action_start(self) -> None:
        """Choose a recipe and start it."""
        from rung.tui.shell.dialogs import ChoiceDialog

        root = self.rung.root

        def list_recipes() -> dict[str, str]:
            try:
                paths = sorted((root / "recipes").glob("*.yaml"))
            except OSError as error:
                raise EngineError(f"{root / 'recipes'} can't be read", str(error)) from error
            return {str(path): path.name for path in paths}

        def ask(recipes: dict[str, str]) -> None:
            empty = f"There is no recipe in {root / 'recipes'}.\nrung new writes one."
            self.app.push_screen(ChoiceDialog("Start a recipe", recipes, empty), self._start_chosen)

        self.rung.errand(list_recipes, ask)

    def _start_chosen(self, recipe: str | None) -> None:
        if recipe is not None:
            run_actions.start(self.rung, self.rung.root / recipe)

    def _act(self, action: Callable[..., None]) -> None:
        run = self.selected()
        if run is not None:
            action(self.rung, run)

    def action_stop(self) -> None:
        """Save, then end."""
        self._act(run_actions.stop)

    def action_cancel(self) -> None:
        """End without saving."""
        self._act(run_actions.cancel)

    def action_checkpoint(self) -> None:
        """Save now."""
        self._act(run_actions.checkpoint)

    def action_resume(self) -> None:
        """Go on."""
        self._act(run_actions.resume)
