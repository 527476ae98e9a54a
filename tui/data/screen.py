"""Data: the rows of the project as training sees them, trained tokens coloured, and what is wrong or odd about them.

Another process reads and tokenises the rows and answers for those that are looked at; it ends with the screen, or when
the screen has been away for as long as the settings let a model lie idle.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from rung.engine.check.data_browser import DataBrowser
from rung.engine.core.errors import EngineError
from rung.engine.jobs.stack import LacksStack
from rung.engine.project import is_project
from rung.tui.data.lines import entry_line, figure_lines, head_lines, kinds_of, row_text, shown_line
from rung.tui.shell.screen import RungScreen
from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel

Result = TypeVar("Result")
SPLITS = ("train", "validation", "test")
PAGE_ROWS = 200
SIDE_COLUMNS = 28
NO_PROJECT = (
    "This folder holds no project, and so no data.\n\n"
    "h goes home: n makes a project from a model and your rows, o opens one.\n"
    "rung check FILE, in a shell, reads any file."
)
READING = "Reading the {split} rows under the model's own tokenizer and chat template …"
NONE_FIT = "No row fits. Escape shows all."


class DataScreen(RungScreen):
    """Rows in a list, the one under the cursor in full; `/` and `p` choose which rows, `f` shows the figures."""

    CSS_PATH = ["../shell/screen.tcss", "data.tcss"]
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash,i", "filter", "filter", key_display="/", tooltip="rows that contain a text"),
        Binding("p", "kind", "problems", tooltip="rows that can't be used, then each kind of odd row, then all"),
        Binding("f", "figures", "figures", tooltip="lengths, copies, roles, languages and labels; f again: the row"),
        Binding("v", "split", "next split", tooltip="training, validation, held-out rows"),
        Binding("tab", "app.focus_next", "scroll", show=False, tooltip="from the list to the row and back"),
        # Before the app's own: a filter is left before the screen is.
        Binding("escape", "show_all", "show all", show=False, tooltip="all rows again; then to the screen before"),
        Binding("f5", "read", "read again", tooltip="read the file again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._split = SPLITS[0]
        self._browser: DataBrowser | None = None
        self._report: dict[str, Any] | None = None
        self._path = ""
        self._entries: list[dict[str, Any]] = []
        self._total = 0
        self._kind: str | None = None
        self._row: dict[str, Any] | None = None
        self._wanted: int | None = None
        self._asking = False
        self._figures = False
        self._offered = False
        self._idle: Timer | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="nothing", markup=False)
        yield TextPanel(id="head")
        yield Input(placeholder="rows that contain this text; escape clears", id="filter")
        with Container(id="split"):
            yield OptionList(id="rows", markup=False)
            with VerticalScroll(id="detail"):
                yield Static("", id="row", markup=False)

    def on_mount(self) -> None:
        self.set_where("data")
        self.query_one("#filter").display = False
        self._say("")

    def on_screen_resume(self) -> None:
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
        if not is_project(self.rung.root):
            self._say(NO_PROJECT)
        elif self._offered:
            self._offered = False  # Back from the panel: nothing has changed yet.
        elif self._browser is None:
            self.action_read()

    def on_screen_suspend(self) -> None:
        self._idle = self.set_timer(self.rung.settings.idle_minutes * 60, self._close)

    def on_unmount(self) -> None:
        self._close()

    def redraw(self) -> None:
        """For another size."""
        self._draw(keep=True)

    # Reading

    def action_read(self) -> None:
        """Read the split anew."""
        if not is_project(self.rung.root):
            return
        self._close()
        self._report, self._row, self._entries, self._kind = None, None, [], None
        self._say(READING.format(split=self._split))
        root, split, python = self.rung.root, self._split, self.rung.worker_python

        def find_out() -> tuple[DataBrowser, str]:
            from rung.engine.check.check import project_question

            asked = project_question(root, split)
            return DataBrowser(asked, python), str(asked["path"])

        self._errand(find_out, self._open)

    def _open(self, found: tuple[DataBrowser, str]) -> None:
        self._close()
        browser, self._path = found
        self._browser = browser
        self._errand(browser.open, lambda report: self._opened(browser, report), browser)

    def _opened(self, browser: DataBrowser, report: dict[str, Any]) -> None:
        self._report = report
        self._list()

    def _list(self, more: bool = False) -> None:
        """Ask for the rows that are chosen, from the beginning or the next ones."""
        browser = self._browser
        if browser is None or self._report is None:
            return
        find, kind, start = self.query_one("#filter", Input).value, self._kind, len(self._entries) if more else 0

        def listed(found: tuple[list[dict[str, Any]], int]) -> None:
            if (find, kind) != (self.query_one("#filter", Input).value, self._kind):
                return  # Asked anew meanwhile.
            self._entries = self._entries[:start] + found[0]
            self._total = found[1]
            self._draw(keep=more)

        self._errand(lambda: browser.rows(find, kind, start, PAGE_ROWS), listed, browser)

    def _ask(self, number: int) -> None:
        """Ask for a row in full; of those wished for while one is on its way, the last."""
        self._wanted = number
        browser = self._browser
        if self._asking or browser is None:
            return
        self._asking = True

        def told(row: dict[str, Any]) -> None:
            self._asking = False
            self._row = row
            if self._wanted not in (None, number):
                self._ask(self._wanted or 0)
            self._draw_row()

        self._errand(lambda: browser.row(number), told, browser)

    def _errand(
        self, call: Callable[[], Result], done: Callable[[Result], object], browser: DataBrowser | None = None
    ) -> None:
        """A call in a thread; what it raises is said in place of the rows. Answers for rows left since are dropped."""

        def caught() -> Result | EngineError:
            try:
                return call()
            except EngineError as error:
                return error

        def back(result: Result | EngineError) -> None:
            if not self.is_mounted or browser is not None and browser is not self._browser:
                return
            if isinstance(result, EngineError):
                self._close()
                self._report = None
                self._say(f"The rows can't be shown.\n\n{printable(str(result))}\n\nf5 reads again, v another split.")
                if isinstance(result, LacksStack) and self.rung.screen is self:
                    self._offered = True
                    self.rung.show_error(result)  # It has a key for another interpreter.
            else:
                done(result)

        self.rung.errand(caught, back)

    def _close(self) -> None:
        if self._browser is not None:
            self._browser.close()
        self._browser, self._asking, self._wanted = None, False, None

    # Showing

    def _say(self, text: str) -> None:
        """A text in place of the rows."""
        nothing = self.query_one("#nothing", Static)
        nothing.update(text)
        self._show_rows(False)

    def _show_rows(self, shown: bool) -> None:
        self.query_one("#nothing").display = not shown
        for name in ("#head", "#split"):
            self.query_one(name).display = shown
        self.refresh_bindings()

    def _draw(self, keep: bool = False) -> None:
        """The head and the list; `keep` leaves the cursor where it is."""
        if self._report is None:
            return
        self._show_rows(True)
        find = self.query_one("#filter", Input).value
        side = SIDE_COLUMNS if self.has_class("-wide") else 0
        width = self.size.width - side - 2
        shown = shown_line(self._kind, find, len(self._entries), self._total)
        self.query_one("#head", TextPanel).put(head_lines(self._report, self._split, self._path, shown, width))
        rows = self.query_one("#rows", OptionList)
        at = rows.highlighted if keep else None
        inside = (width * 2 // 5 if self.has_class("-wide") else width) - 2
        rows.clear_options()
        rows.add_options(
            [Option(entry_line(entry, self._kind, self.rung.glyphs, inside)) for entry in self._entries]
            or [Option(NONE_FIT, disabled=True)]
        )
        if self._entries:
            rows.highlighted = min(at or 0, len(self._entries) - 1)
        else:
            self._row = None
        if self.focused is None:
            self.set_focus(rows)
        self._draw_row()

    def _draw_row(self) -> None:
        if self._report is None:
            return
        panel = self.query_one("#row", Static)
        if self._figures:
            panel.update(figure_lines(self._report, self.rung.glyphs))
        elif self._row is not None:
            panel.update(row_text(self._row, self.rung.glyphs, not self.app.no_color, self.app.has_class("-ascii")))
        else:
            panel.update("")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index >= len(self._entries):
            return  # Of a list that is gone.
        number = int(self._entries[event.option_index]["number"])
        if self._row is None or self._row["number"] != number:
            self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
            self._ask(number)
        if event.option_index == len(self._entries) - 1 and len(self._entries) < self._total:
            self._list(more=True)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what there is nothing for."""
        if action == "figures":
            return self._report is not None
        if action == "kind":
            return self._report is not None and bool(kinds_of(self._report))
        # What is typed while the rows are read chooses among them when they come.
        if action in ("split", "read", "filter"):
            return is_project(self.rung.root)
        return super().check_action(action, parameters)

    def action_kind(self) -> None:
        """The next kind of rows."""
        assert self._report is not None
        kinds = [None, *kinds_of(self._report)]
        self._kind = kinds[(kinds.index(self._kind) + 1) % len(kinds)]
        self._figures = False
        self._list()

    def action_figures(self) -> None:
        """The figures in place of the row, or the row again."""
        self._figures = not self._figures
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)
        self._draw_row()

    def action_split(self) -> None:
        """The next of the project's splits."""
        self._split = SPLITS[(SPLITS.index(self._split) + 1) % len(SPLITS)]
        self.action_read()

    def action_filter(self) -> None:
        """Type a text that rows must contain."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)

    def on_input_changed(self) -> None:
        self._list()

    def on_input_submitted(self) -> None:
        self.query_one("#rows").focus()

    def action_show_all(self) -> None:
        """Show all rows again, or leave the screen."""
        box = self.query_one("#filter", Input)
        if not box.display and self._kind is None:
            self.rung.action_go_back()
            return
        self._kind = None
        box.display = False
        box.value = ""
        self.query_one("#rows").focus()
        self._list()
