"""The two small forms of the welcome screen: a folder, and a new project.

A form does what it asks for while it is open: what goes wrong is said beside its field, and what was typed stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from rung.engine.core.errors import EngineError
from rung.engine.jobs.stack import LacksStack
from rung.tui.text.words import printable

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp


class AskedLine(Vertical):
    """A label, an input, and below it what is wrong with its text."""

    def __init__(self, field: str, label: str, text: str = "", placeholder: str = "") -> None:
        super().__init__(classes="asked")
        self._field, self._label, self._text, self._placeholder = field, label, text, placeholder

    def compose(self) -> ComposeResult:
        yield Label(self._label, markup=False)
        yield Input(self._text, id=self._field, placeholder=self._placeholder)
        yield Static(classes="wrong", markup=False)

    def on_input_changed(self) -> None:
        self.refuse("")

    def refuse(self, why: str) -> None:
        """Say what is wrong; "" for nothing."""
        no = cast("RungApp", self.app).glyphs.no
        self.query_one(".wrong", Static).update(printable(f"{no} {why}") if why else "")
        self.set_class(bool(why), "-wrong")


class WelcomeForm(ModalScreen[None]):
    """Asks, then does it in a thread, and closes when it is done. `work` raises FieldError for a field of the form."""

    CSS_PATH = ["../shell/dialogs.tcss", "home.tcss"]
    BINDINGS = [Binding("escape", "leave", "close")]
    LAST = ""

    def __init__(self, title: str, button: str, work: Callable[..., Any], done: Callable[[Any], object]) -> None:
        super().__init__()
        self._title, self._button, self._work, self._done = title, button, work, done
        self._working = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._title
            yield from self.compose_fields()
            with Horizontal(classes="buttons"):
                yield Button(self._button, variant="primary")

    def compose_fields(self) -> ComposeResult:
        """What is asked."""
        yield from ()

    def text(self, field: str) -> str:
        """What stands in a field, without space around it."""
        return self.query_one(f"#{field}", Input).value.strip()

    def answers(self) -> Any:
        """What `work` is called with. Raises FieldError for what is missing."""
        raise NotImplementedError

    def on_input_submitted(self) -> None:
        self._go()

    def on_button_pressed(self) -> None:
        self._go()

    def action_leave(self) -> None:
        """Close, and do nothing."""
        self.dismiss()

    def _go(self) -> None:
        if self._working:
            return
        try:
            answers = self.answers()
        except FieldError as error:
            self._refused(error)
            return
        self._set_working(True)
        cast("RungApp", self.app).errand(lambda: self._work(answers), self._finished, refused=self._refused)

    def _finished(self, result: Any) -> None:
        if self.app.screen is self:  # Closed in between or not, what was made is there, and is shown.
            self.dismiss()
        self._done(result)

    def _refused(self, error: EngineError) -> None:
        is_here = self in self.app.screen_stack
        if is_here:
            self._set_working(False)
        if not is_here or isinstance(error, LacksStack):  # Of no field: the panel has a key for another interpreter.
            cast("RungApp", self.app).show_error(error)
            return
        for line in self.query(AskedLine):
            line.refuse("")
        field = self.query_one(f"#{error.field if isinstance(error, FieldError) else self.LAST}", Input)
        assert isinstance(field.parent, AskedLine)
        field.parent.refuse(". ".join(part for part in (error.message, error.details, error.hint) if part))
        field.focus()

    def _set_working(self, working: bool) -> None:
        self._working = working
        button = self.query_one(Button)
        button.disabled = working
        button.label = "One moment …" if working else self._button


class FieldError(EngineError):
    """An error that belongs to one field of a form."""

    def __init__(self, field: str, error: EngineError) -> None:
        super().__init__(error.message, error.details, error.hint)
        self.field = field


class FolderDialog(WelcomeForm):
    """Asks for a folder, and does with it what it is for."""

    LAST = "folder"

    def __init__(
        self,
        title: str,
        question: str,
        folder: str,
        button: str,
        work: Callable[[Path], Any],
        done: Callable[[Any], object],
    ) -> None:
        super().__init__(title, button, work, done)
        self._question, self._folder = question, folder

    def compose_fields(self) -> ComposeResult:
        yield AskedLine("folder", self._question, self._folder)

    def answers(self) -> Path:
        if not self.text("folder"):
            raise FieldError("folder", EngineError("Name a folder"))
        return Path(self.text("folder")).expanduser()


@dataclass(frozen=True)
class NewProjectAnswers:
    """What a new project is made of, as it was written."""

    folder: str
    model: str
    train: str


class NewProjectDialog(WelcomeForm):
    """Folder, model and training data of a new project."""

    LAST = "train"

    def compose_fields(self) -> ComposeResult:
        yield AskedLine("folder", "folder: a new or an empty one", placeholder="my-project")
        yield AskedLine("model", "model: a folder, a hub id, or pocket", "pocket")
        yield AskedLine("train", "data: JSONL, JSON, CSV or Parquet; empty: add it later", placeholder="examples.jsonl")

    def answers(self) -> NewProjectAnswers:
        found = NewProjectAnswers(*map(self.text, ("folder", "model", "train")))
        if not found.folder:
            raise FieldError("folder", EngineError("Name a new folder"))
        if not found.model:
            raise FieldError("model", EngineError("Name a model", hint="pocket is the small one that comes with Rung"))
        return found


def make_project(answers: NewProjectAnswers) -> tuple[Path, list[str]]:
    """Make the project; gives its folder and what its maker should know. Raises FieldError with the field at fault."""
    from rung.engine.guide.new import chosen_model, write_new_project
    from rung.engine.guide.staging import refuse_if_filled

    folder, train = Path(answers.folder), Path(answers.train).expanduser() if answers.train else None
    root = folder.expanduser().resolve()
    for field, check in (
        ("folder", lambda: refuse_if_filled(root)),
        ("model", lambda: chosen_model(answers.model, root)),
        ("train", lambda: _refuse_missing(train)),
    ):
        try:
            check()
        except EngineError as error:
            raise FieldError(field, error) from None
        except OSError as error:
            raise FieldError(field, EngineError(error.strerror or str(error), str(error.filename or ""))) from None
    made = write_new_project(folder, answers.model, train)
    return made.root, [*made.warnings, *made.notes]


def _refuse_missing(train: Path | None) -> None:
    if train is not None and not train.exists():
        raise EngineError(f"There is no file {train}", hint="give a data file, or leave it empty")
