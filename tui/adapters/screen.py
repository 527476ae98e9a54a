"""Adapters: what was trained on each base, where it came from, how it scores, what it forgot, how large it is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.results.adapters import TrainedAdapter, list_adapters
from rung.engine.results.comparison import NO_ANSWERS
from rung.engine.results.exports import Errand, Part, combine_errand, default_target, export_errand
from rung.tui.adapters.dialogs import CombineAnswers, CombineDialog
from rung.tui.adapters.lines import detail_lines, done_words, options_of
from rung.tui.adapters.work import ErrandOver, ErrandSaid, Work
from rung.tui.shell.screen import RungScreen
from rung.tui.text.words import printable
from rung.tui.watch.watched_run import WatchedRun
from rung.tui.widgets.text_panel import TextPanel

READING = "Reading the runs' adapters …"
NOTHING_YET = (
    "Nothing is trained yet: no run of this project has a result.\n\n"
    "Start a recipe (r, then n) or let a run go on; what it leaves shows up here.\n"
    "On the command line: rung adapters"
)


class AdaptersScreen(RungScreen):
    """A list by base model, and below it all that is known of the one under the cursor."""

    CSS_PATH = ["../shell/screen.tcss", "adapters.tcss"]
    AUTO_FOCUS = "#adapters"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "compare", tooltip="the marked ones, or this one, beside their base"),
        Binding("e", "export", "export", tooltip="a folder that transformers or peft load, with a model card"),
        Binding("m", "merge", "merge", tooltip="the adapter made part of its base's weights, in a new folder"),
        Binding("space", "mark", "mark", tooltip="mark it, to compare or combine several"),
        Binding("plus", "combine", "combine", key_display="+", tooltip="add the marked LoRA adapters up by weight"),
        Binding("x", "cancel", "cancel", tooltip="end what is being written; nothing of it stays"),
        Binding("enter", "open_run", "run", priority=True, tooltip="the run's own screen"),
        Binding("f5", "read", "read again", show=False, tooltip="read the runs' folders again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._adapters: list[TrainedAdapter] = []
        self._marked: set[str] = set()
        self._said = READING
        self._finished: frozenset[str] = frozenset()
        self._work = Work(self.post_message)

    def compose_body(self) -> ComposeResult:
        yield Static(READING, id="nothing", markup=False)
        yield OptionList(id="adapters", markup=False)
        yield TextPanel(id="detail")
        yield TextPanel(id="work")

    def on_mount(self) -> None:
        self.set_where("adapters")
        self.query_one("#detail").border_title = "This one"
        self._show()

    def on_screen_resume(self) -> None:
        self.action_read()

    def redraw(self) -> None:
        """For another size."""
        self._show()

    # Reading

    def action_read(self) -> None:
        """Read the runs' folders in a thread."""
        self._finished = self._finished_runs()
        self.rung.errand(partial(_read, self.rung.root), self._found)

    def run_updated(self, run: str) -> None:
        """A run that finished may have left an adapter."""
        if self._finished_runs() != self._finished:
            self.action_read()

    def _finished_runs(self) -> frozenset[str]:
        return frozenset(run.id for run in self.rung.runs.values() if run.status == "finished")

    def _found(self, found: "list[TrainedAdapter] | EngineError") -> None:
        failed = isinstance(found, EngineError)
        self._adapters = [] if isinstance(found, EngineError) else found
        self._said = f"The adapters can't be listed.\n\n{printable(str(found))}" if failed else NOTHING_YET
        self._marked &= {adapter.run for adapter in self._adapters}
        self._show()

    # What is shown

    def _show(self) -> None:
        nothing, listed = self.query_one("#nothing", Static), self.query_one("#adapters", OptionList)
        nothing.update(self._said)
        nothing.display = not self._adapters
        listed.display = bool(self._adapters)
        chosen = self._chosen()
        width = self.size.width - (0 if self.has_class("-narrow") else 28) - 2
        listed.clear_options()
        listed.add_options(options_of(self._adapters, self._marked, self.rung.glyphs, width))
        if self._adapters:
            listed.highlighted = listed.get_option_index((chosen or self._adapters[0]).run)
            if self.focused is None:
                listed.focus()
        self._show_detail()
        self._show_work()

    def _show_detail(self) -> None:
        chosen, detail = self._chosen(), self.query_one("#detail", TextPanel)
        detail.display = chosen is not None
        if chosen is not None:
            detail.put(detail_lines(chosen, self._adapters, self.rung.root))
        self.refresh_bindings()

    def _show_work(self) -> None:
        work = self.query_one("#work", TextPanel)
        work.display = bool(self._work.words)
        work.put(self._work.words)
        self.refresh_bindings()

    def _chosen(self) -> TrainedAdapter | None:
        listed = self.query_one("#adapters", OptionList)
        option = listed.highlighted_option
        return next((each for each in self._adapters if option is not None and each.run == option.id), None)

    def _chosen_or_marked(self) -> list[TrainedAdapter]:
        marked = [adapter for adapter in self._adapters if adapter.run in self._marked]
        chosen = self._chosen()
        return marked or ([chosen] if chosen is not None else [])

    def on_option_list_option_highlighted(self) -> None:
        self._show_detail()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what this adapter, or the marked ones, can't be used for."""
        chosen = self._chosen() if self.is_mounted else None
        if action in ("export", "merge"):
            able = chosen is not None and not self._work.busy
            return able and (action == "export" or _can_be_merged(chosen))
        if action == "compare":
            several = self._chosen_or_marked() if chosen else []
            return _have_one_base(several) and all(each.method not in NO_ANSWERS for each in several)
        if action == "combine":
            parts = self._chosen_or_marked() if chosen else []
            return not self._work.busy and _can_be_combined(parts)
        if action in ("mark", "open_run"):
            return chosen is not None and isinstance(self.focused, OptionList)
        if action == "cancel":
            return self._work.busy
        return super().check_action(action, parameters)

    def on_option_list_option_selected(self) -> None:
        self.action_open_run()

    def action_open_run(self) -> None:
        """The run's own screen."""
        chosen = self._chosen()
        if chosen is not None and isinstance(self.rung.runs.get(chosen.run), WatchedRun):
            self.rung.open_run(chosen.run)

    def action_mark(self) -> None:
        """Mark the adapter under the cursor, or take its mark away; then go on to the next."""
        chosen = self._chosen()
        if chosen is not None:
            self._marked ^= {chosen.run}
            self._show()
            self.query_one("#adapters", OptionList).action_cursor_down()

    def action_compare(self) -> None:
        """Answers of these and of their base, side by side."""
        runs = [adapter.run for adapter in self._chosen_or_marked()]
        self.rung.open_screen("compare", run=runs[0], others=tuple(runs[1:]))

    def action_export(self) -> None:
        """The result as it is, in a folder of its own."""
        self._ask_where(merged=False)

    def action_merge(self) -> None:
        """The result as one whole model."""
        self._ask_where(merged=True)

    def _ask_where(self, *, merged: bool) -> None:
        from rung.tui.home.dialogs import FolderDialog

        chosen, root, python = self._chosen(), self.rung.root, self.rung.worker_python
        if chosen is None:
            return
        run = _run_of(chosen)

        def go(folder: Path) -> Errand:
            return export_errand(root, run, to=root / folder, merged=merged, python=python)

        title = "Merge into its base" if merged else "Export"
        question = f"{run.id} goes into a new or empty folder:"
        folder = str(default_target(Path(), run, merged))
        self.app.push_screen(FolderDialog(title, question, folder, "Merge" if merged else "Export", go, self._begin))

    def action_combine(self) -> None:
        """The marked adapters' weighted sum, as a run of its own."""
        root, python = self.rung.root, self.rung.worker_python
        runs = [_run_of(adapter) for adapter in self._chosen_or_marked()]

        def go(answers: CombineAnswers | None) -> None:
            if answers is not None:
                parts = [Part(run, weight) for run, weight in zip(runs, answers.weights, strict=True)]
                how = answers.how
                self._do(lambda: combine_errand(root, parts, how=how, python=python))

        self.app.push_screen(CombineDialog([run.id for run in runs]), go)

    def _do(self, make: Callable[[], Errand]) -> None:
        self.rung.errand(make, self._begin)

    def _begin(self, errand: Errand) -> None:
        if not self._work.busy:
            self._work.begin(errand)
            self._show_work()

    def action_cancel(self) -> None:
        """End the worker; what it has written goes."""
        self.rung.errand(self._work.cancel)

    def on_errand_said(self, message: ErrandSaid) -> None:
        self._work.phase = message.phase
        self._show_work()

    def on_errand_over(self, message: ErrandOver) -> None:
        self._work.end()
        self._show_work()
        if isinstance(message.result, EngineError):
            self.rung.show_error(message.result)
            return
        self.app.notify(done_words(message.result), title="Written", markup=False, timeout=10)
        self.action_read()


def _read(root: Path) -> "list[TrainedAdapter] | EngineError":
    """The list, or why there is none: the screen has a place for either."""
    try:
        return list_adapters(root)
    except EngineError as error:
        return error


def _can_be_merged(adapter: TrainedAdapter | None) -> bool:
    return adapter is not None and adapter.kind in ("lora", "dora")


def _can_be_combined(parts: list[TrainedAdapter]) -> bool:
    return len(parts) > 1 and _have_one_base(parts) and all(part.kind == "lora" for part in parts)


def _have_one_base(adapters: list[TrainedAdapter]) -> bool:
    return len({(adapter.base, adapter.revision) for adapter in adapters}) == 1


def _run_of(adapter: TrainedAdapter) -> RunFolder:
    return RunFolder(Path(adapter.path).parent)
