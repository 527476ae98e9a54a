"""Wizard: situation, model, data, prompt, RAG, tune, verdict; every change is on disk, so one goes on where one was."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, Static, TextArea

from rung.engine.core.errors import EngineError
from rung.engine.guide.wizard import PAGES, Page, WizardState
from rung.engine.project import is_project
from rung.tui.shell.offers import start_or_offer
from rung.tui.shell.screen import RungScreen
from rung.tui.text.phases import index_words
from rung.tui.text.words import printable
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.data_page import DataPage
from rung.tui.wizard.fetch import FetchWatch, begin_fetch
from rung.tui.wizard.job import JobWatch, climb_going_on
from rung.tui.wizard.job_panel import JobPanel
from rung.tui.wizard.model_page import ModelPage
from rung.tui.wizard.page import Edited, FieldLine, Wanted, WizardPage, error_line
from rung.tui.wizard.prompt_page import PromptPage
from rung.tui.wizard.rag_page import RagPage
from rung.tui.wizard.situation_page import SituationPage
from rung.tui.wizard.trial import Trial, TrialBench, TrialSaid, prepare_trial
from rung.tui.wizard.tune_page import TunePage, recipe_changes
from rung.tui.wizard.verdict_page import VerdictPage
from rung.tui.wizard.view import Machine, WizardView, read_view
from rung.tui.wizard.work import Edits, Refused, recipe_text, save_edits, wizard_errands

if TYPE_CHECKING:
    from rung.engine.jobs.folder import RunFolder

Result = TypeVar("Result")
TITLES: dict[Page, str] = {
    "situation": "situation", "model": "model", "data": "data", "prompt": "prompt", "rag": "RAG", "tune": "tune",
    "verdict": "verdict",
}  # fmt: skip
PAGES_WITH: dict[str, tuple[Page, ...]] = {
    "measure": ("prompt", "rag", "tune", "verdict"), "try": ("prompt",), "check": ("data", "tune"),
}  # fmt: skip
MAIN_FIELDS: dict[Page, str] = {
    "situation": "#task", "model": "#name", "data": "#file", "prompt": "#system", "rag": "#question", "tune": "#rate",
}  # fmt: skip
RESULTS = {
    "check": ("checking", "report"),
    "gate": ("gating", "gate"),
    "ask": ("asking", "hits"),
    "retrieval": ("asking", "hits"),
}
NO_PROJECT = (
    "This folder holds no project yet.\n\n"
    "h goes home: n makes a project from a model and your data, o opens one, and a demo brings its own."
)


class AskingTold(Message):
    """What the search says of itself before it answers."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        super().__init__()


class WizardScreen(RungScreen):
    """Seven pages, back and forth; what each shows is read from the project's files."""

    CSS_PATH = ["../shell/screen.tcss", "wizard.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "page(1)", "next page", key_display="]", tooltip="the next page"),
        Binding("left_square_bracket", "page(-1)", "back", key_display="[", tooltip="the page before; nothing is lost"),
        *(Binding(str(n), f"go({n - 1})", f"page {n}: {TITLES[PAGES[n - 1]]}", show=False) for n in range(1, 8)),
        Binding("escape", "leave_field", "leave the field", tooltip="letters are keys again"),
        Binding("x", "stop", "stop", tooltip="what is measured, or has come, stays; the next time goes on from there"),
        Binding("f", "fetch", "fetch model", tooltip="bring the project's model from the hub, in a process of its own"),
        Binding("l", "live", "live curves", tooltip="the training run that is going on"),
        Binding("i", "field", "edit", tooltip="into the page's text field; escape leaves it"),
        Binding("m", "work('measure')", "measure", tooltip="measure this page's rung on the held-out rows"),
        Binding("t", "work('try')", "try", tooltip="answer a few validation rows with this prompt"),
        Binding("k", "work('check')", "check", tooltip="read every row as training would"),
        Binding("y", "recipe", "recipe (YAML)", tooltip="the whole recipe of the tune page"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.opening = True
        # Of the project that this screen was made for: the app may have gone on to another one when it is let go.
        self._root = Path()
        self._state = WizardState()
        self._view: WizardView | None = None
        self._machine: Machine | None = None
        self._edits = Edits()
        self._saving = False
        self._bench = TrialBench(self.post_message)

    def compose_body(self) -> ComposeResult:
        yield TextPanel(id="steps")
        yield Static("Reading the project …", id="nothing", markup=False)
        with ContentSwitcher(initial="situation", id="pages"):
            for kind in (SituationPage, ModelPage, DataPage, PromptPage, RagPage, TunePage, VerdictPage):
                yield kind(id=kind.PAGE)
        yield JobPanel("Fetching", id="fetch")
        yield JobPanel("Measuring", id="job")

    # From the disk and back to it

    def on_mount(self) -> None:
        self._root = self.rung.root
        self.set_where("wizard")
        self.query_one("#pages").display = False

    def on_screen_resume(self) -> None:
        for panel in (self._fetch, self._job):
            if panel.busy:
                panel.draw()
        root = self._root
        if not is_project(root):
            self.query_one("#nothing", Static).update(NO_PROJECT)
            self.opened()
        elif self._view is None:
            self.rung.errand(lambda: _begin(root), self._begun)
        else:
            self._save()

    def on_unmount(self) -> None:
        self._bench.close()
        if self._edits:
            # The screen goes: what was written last is put on disk before it is gone. What can't be, can't be shown.
            with suppress(EngineError):
                save_edits(self._root, self._edits, self._state, self._recipe_file)

    def _begun(self, found: "tuple[WizardState, RunFolder | None] | EngineError") -> None:
        if isinstance(found, EngineError):
            self._unreadable(found)
            return
        self._state, climbing = found
        if climbing is not None:
            self._job.follow(JobWatch(climbing))
        self._save(first=True)

    def _unreadable(self, error: EngineError) -> None:
        """Say on the page itself why it is empty; the project is read again when one comes back to it."""
        self.query_one("#nothing", Static).update(f"The wizard can't read this project.\n\n{printable(str(error))}")
        self.rung.forget_waiting_keys()
        self.opened()

    def on_edited(self, message: Edited) -> None:
        if message.where == "drafts" and not self._draft(message.field, message.value):
            return
        self._edits.put(message.where, message.field, message.value, message.origin)
        self._save()

    def _draft(self, field: str, text: str) -> bool:
        """Keep a text that is no setting, or let go of it; gives whether that is a change."""
        drafts = {name: each for name, each in self._state.drafts.items() if name != field}
        drafts |= {field: text} if text else {}
        changed = drafts != self._state.drafts
        self._state = replace(self._state, drafts=drafts)
        return changed

    def _save(self, first: bool = False) -> None:
        """Write what was changed, in a thread, then read everything anew; changes meanwhile wait for the next turn."""
        if self._saving or not (first or self._view is not None):
            return
        self._saving = True
        root, state, machine, file = self._root, self._state, self._machine, self._recipe_file
        edits = self._edits.take()

        def call() -> tuple[WizardView, list[Refused]]:
            refused = save_edits(root, edits, state, file)
            return read_view(root, state, machine), refused

        self.rung.errand(call, self._saved, refused=self._not_saved)

    def _not_saved(self, error: EngineError) -> None:
        self._saving = False
        if self._view is None:
            self._unreadable(error)
        else:
            self.rung.show_error(error)

    def _saved(self, saved: tuple[WizardView, list[Refused]]) -> None:
        self._saving = False
        result, refused = saved
        self._tell_refused(refused)
        first = self._view is None
        self._machine = result.machine
        if result.facts.retrieval is not None:
            self._state = replace(self._state, retrieval=result.facts.retrieval)
        before = self._view
        kept: dict[str, Any] = {"marks": self.rung.glyphs, "trial": self._bench.rows, "trying": self._bench.state}
        if before is not None:
            kept |= {
                "report": before.report, "checking": before.checking, "gating": before.gating, "hits": before.hits,
                "asking": before.asking, "asking_now": before.asking_now,
                "gate": before.gate if before.recipe == result.recipe else None,
            }  # fmt: skip
        self._view = replace(result, state=self._state, **kept)
        if first:
            self.query_one("#nothing").display = False
            self.query_one("#pages").display = True
        self._show(focus=first)
        if first:
            self.opened()
        coming = result.download
        if coming is not None and coming.going and not self._fetch.busy:
            self._fetch.follow(FetchWatch(coming.name, coming.revision))
        if self._edits:
            self._save()

    def _tell_refused(self, refused: list[Refused]) -> None:
        """Say beside its field what could not be written; what was chosen in no field is told in a panel."""
        for each in refused:
            lines = [line for line in self.query(FieldLine) if line.field == each.origin]
            for line in lines:
                line.refuse(error_line(each.error))
                self._draft(line.field, line.input.value)
                self._edits.state_changed = True
            if not lines:
                self.rung.show_error(each.error)

    @property
    def _job(self) -> JobPanel:
        return self.query_one("#job", JobPanel)

    @property
    def _fetch(self) -> JobPanel:
        return self.query_one("#fetch", JobPanel)

    @property
    def _recipe_file(self) -> str:
        return self._view.project.tune.recipe if self._view is not None else ""

    # Pages

    def action_page(self, by: int) -> None:
        """The next page or the one before."""
        self.action_go(PAGES.index(self._state.page) + by)

    def action_go(self, at: int) -> None:
        """Go to a page."""
        if self._view is None or not 0 <= at < len(PAGES):
            return
        self._state = self._state.at(PAGES[at])
        self._edits.state_changed = True
        self._show(focus=True)
        self._save()

    def action_field(self) -> None:
        """Into the page's text field."""
        if (field := self._text_field) is not None:
            self.set_focus(field)

    @property
    def _text_field(self) -> Widget | None:
        """The page's main field; None where it has none, or none that can be written in now."""
        selector = MAIN_FIELDS.get(self._state.page)
        field = self._page.query_one(selector) if selector is not None else None
        # A field that is not wanted now is hidden together with its label.
        shown = field is not None and all(
            node.display for node in field.ancestors if isinstance(node, WizardPage | FieldLine)
        )
        return field if field is not None and shown and field.focusable else None

    def action_leave_field(self) -> None:
        """Out of a field, so that letters are keys again."""
        self.set_focus(self._page)

    @property
    def _page(self) -> WizardPage:
        return self.query_one(f"#{self._state.page}", WizardPage)

    def _show(self, focus: bool = False) -> None:
        if self._view is None:
            return
        self._view = replace(self._view, state=self._state, trial=self._bench.rows, trying=self._bench.state)
        self.query_one("#pages", ContentSwitcher).current = self._state.page
        self.query_one("#steps", TextPanel).put(self._steps())
        self._page.show(self._view)
        if focus:
            self._page.scroll_home(animate=False)
            # At once: Widget.focus waits for its turn, and would take the focus from a field that a key went to.
            self.set_focus(self._page)
        self.refresh_bindings()

    def _steps(self) -> Content:
        """The pages, with a mark where a step is done or open."""
        assert self._view is not None
        marks = self.rung.glyphs
        parts = []
        for number, page in enumerate(PAGES, start=1):
            here = page == self._state.page
            mark = {"done": marks.yes, "open": marks.half, "not yet": ""}[self._view.steps[page].state]
            name = f"[{number} {TITLES[page]}{mark}]" if here else f" {number} {TITLES[page]}{mark} "
            parts.append(Content.styled(name, "bold $text-accent" if here else "$muted"))
        return Content("").join(parts)

    def redraw(self) -> None:
        """For another size."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what can't be done now."""
        if action == "work":
            return self._view is not None and self._state.page in PAGES_WITH[str(parameters[0])]
        if action == "field":
            return self._view is not None and self._text_field is not None
        if action == "leave_field":
            return isinstance(self.focused, (Input, TextArea))
        if action in ("page", "go") and self._view is None:
            return False
        if action == "page":
            return 0 <= PAGES.index(self._state.page) + int(str(parameters[0])) < len(PAGES)
        if action == "stop":
            return self._stoppable is not None
        if action == "fetch":
            coming = self._view.download if self._view is not None else None
            on_page = self._state.page == "model" and not self._fetch.busy
            return on_page and coming is not None and not coming.whole
        if action == "live":
            return self._job.view is not None and self._job.view.run in self.rung.runs
        if action == "recipe":
            return self._state.page == "tune" and self._view is not None and self._view.recipe is not None
        return super().check_action(action, parameters)

    # Work that pages ask for

    def action_work(self, what: str) -> None:
        """What the page's button does."""
        page = self._state.page
        if what == "measure":
            self.post_message(Wanted("climb") if page == "verdict" else Wanted("measure", page))
        else:
            self.post_message(Wanted("gate" if what == "check" and page == "tune" else what))

    def on_wanted(self, message: Wanted) -> None:
        if self._view is None:
            return
        what, value = message.what, message.value
        if what in ("measure", "climb"):
            self._measure(value)
        elif what == "scoreboard":
            self.rung.open_screen("scoreboard")
        elif what == "try":
            self._try()
        elif what == "trained":
            assert self._view.recipe is not None
            for field, changed in recipe_changes(value, self._view.recipe).items():
                self._edits.put("recipe", field, changed)
            self._save()
        else:
            self._work(what, value, message.field)

    def _work(self, what: str, value: str, field: str) -> None:
        """A check, a split, a question, another model: in a thread, and shown when it comes back."""
        assert self._view is not None

        def tell(said: dict[str, Any]) -> None:
            self.post_message(AskingTold(said))

        errand = wizard_errands(self._root, self._view.project, self.rung.worker_python, tell)[what]
        flag, result = RESULTS.get(what, ("", ""))
        if flag:
            self._put({flag: True, "asking_now": ""})
            self._bring(result)

        page = self._page

        def done(found: Any) -> None:
            if field:
                page.accept(field)
            if flag:
                self._put({flag: False, result: found})
                self._bring(result)
            elif found:
                self.notify("\n".join(found), markup=False, timeout=10)
            if what in ("split", "use"):
                self._machine = None
            self._save()

        def failed(error: EngineError) -> None:
            if flag:
                self._put({flag: False})
            if field:
                page.line(field).refuse(error_line(error))
            else:
                self.rung.show_error(error)

        self._errand(lambda: errand(value), done, failed)

    def on_asking_told(self, message: AskingTold) -> None:
        if message.said["type"] == "phase" and self._view is not None:
            documents = self._view.project.documents
            model = documents.embedding_model if documents is not None else None
            self._put({"asking_now": index_words(message.said, model or "the embedding model")})

    def _bring(self, panel: str) -> None:
        """Scroll a panel of the page into sight, where the page is still that one."""
        for found in self._page.query(f"#{panel}"):
            self.call_after_refresh(found.scroll_visible, animate=False, top=True)

    def _put(self, changes: dict[str, Any]) -> None:
        """Replace what this sitting has found, and show it."""
        assert self._view is not None
        self._view = replace(self._view, **changes)
        self._show()

    def _errand(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], object],
        failed: Callable[[EngineError], object] | None = None,
    ) -> None:
        """An errand whose failure is shown, or given to `failed`, which shows it where it belongs."""
        self.rung.errand(call, lambda result: done(result) if self.is_mounted else None, refused=failed)

    # The prompt on a few rows

    def _try(self) -> None:
        root, settings, python = self._root, self.rung.settings, self.rung.worker_python
        self._bench.state = "loading the model …"
        self._show()
        self._bring("answers")

        def call() -> Trial:
            trial = prepare_trial(root)
            self._bench.start(trial, python, settings.idle_minutes)
            return trial

        def failed(error: EngineError) -> None:
            self._bench.state = ""
            self._show()
            self.rung.show_error(error)

        self._errand(call, lambda _: self._show(), failed)

    def on_trial_said(self, message: TrialSaid) -> None:
        error = self._bench.take(message.said)
        if error is not None:
            self.rung.show_error(error)
        self._show()
        if message.said["type"] == "ready":
            self._bring("answers")

    # Measuring

    def _measure(self, rung: str) -> None:
        root, python = self._root, self.rung.worker_python

        def call(fetch: bool) -> "RunFolder":
            from rung.engine.ladder.launch import start_climb
            from rung.engine.ladder.spec import RUNGS

            wanted = [each for each in RUNGS if not rung or each == rung]
            return start_climb(root, rungs=wanted, fetch=fetch, python=python)

        if self._job.busy:
            self.notify("A measurement is going on already: x stops it.", markup=False)
            return
        self.notify("Starting the measurement …", markup=False, timeout=3)
        start_or_offer(self.rung, call, lambda folder: self._job.follow(JobWatch(folder)))

    def on_job_panel_changed(self, message: JobPanel.Changed) -> None:
        failed = message.view.failed
        if failed is not None:
            self.rung.show_error(EngineError(*(str(failed.get(name, "")) for name in ("message", "details", "hint"))))
        if message.panel is self._fetch:
            if not message.view.over:
                return
            message.panel.display = False
            self._machine = None
        self._save()
        self.refresh_bindings()

    @property
    def _stoppable(self) -> JobPanel | None:
        """The job that stop means: on the model page its download, else what is being measured."""
        panels = (self._fetch, self._job) if self._state.page == "model" else (self._job, self._fetch)
        return next((panel for panel in panels if panel.busy), None)

    def action_stop(self) -> None:
        """Ask the job to stop."""
        from rung.engine.jobs.requests import request

        panel = self._stoppable
        if panel is not None and (watch := panel.job) is not None:
            words = "It stops; what has come stays." if panel is self._fetch else "It stops after this batch."
            self._errand(lambda: request(watch.folder, "stop"), lambda _: self.notify(words, markup=False))

    def action_fetch(self) -> None:
        """Bring the project's model from the hub, or go on with it."""
        assert self._view is not None and self._view.download is not None
        download = self._view.download
        python = self.rung.worker_python

        def going(watch: FetchWatch) -> None:
            self._fetch.follow(watch)
            self._save()
            self.refresh_bindings()

        self.notify(f"Asking the hub for {download.name} …", markup=False, timeout=3)
        self._errand(lambda: begin_fetch(download, python), going)

    def action_live(self) -> None:
        """The screen of the run that trains."""
        if self._job.view is not None:
            self.rung.open_run(self._job.view.run)

    def action_recipe(self) -> None:
        """The recipe as it stands in its file."""
        from rung.tui.wizard.recipe import RecipePanel

        root, file = self._root, self._recipe_file
        self._errand(lambda: recipe_text(root, file), lambda text: self.app.push_screen(RecipePanel(file, text)))


def _begin(root: Path) -> "tuple[WizardState, RunFolder | None] | EngineError":
    from rung.engine.guide.wizard import load_wizard

    try:
        return load_wizard(root), climb_going_on(root)
    except EngineError as error:
        return error
