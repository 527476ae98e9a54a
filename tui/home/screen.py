"""Welcome: what Rung is, a demo, the projects and runs at hand, and whether this machine is ready."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.project import is_project
from rung.tui.home.choices import DEMOS, Offer, first_enabled, look_around, options
from rung.tui.home.dialogs import FolderDialog, NewProjectDialog, make_project
from rung.tui.shell import run_actions
from rung.tui.shell.dialogs import ChoiceDialog
from rung.tui.shell.screen import RungScreen
from rung.tui.text.words import gibibytes, printable
from rung.tui.widgets.text_panel import TextPanel

if TYPE_CHECKING:
    from rung.engine.guide.doctor import DoctorReport

ABOUT = (
    "Climb from prompt to RAG to fine-tuning; stop at the lowest rung that works.\n"
    "Every rung is measured on the same held-out examples."
)


class WelcomeScreen(RungScreen):
    """One list of things to begin with; enter does them."""

    CSS_PATH = ["../shell/screen.tcss", "home.tcss"]
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "start", "start recipe", tooltip="start one of this project's recipes"),
        Binding("n", "new", "new project", tooltip="from a model and your own data"),
        Binding("o", "open_folder", "open project", tooltip="a folder with a rung.yaml"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.opening = True
        self._offer = Offer(Path())

    def compose_body(self) -> ComposeResult:
        yield Static(ABOUT, id="about", markup=False)
        yield OptionList(Option("Reading this folder …", disabled=True), id="choices", markup=False)
        yield TextPanel(id="doctor")

    def on_mount(self) -> None:
        self.set_where("welcome")
        root, python = self.rung.root, self.rung.worker_python
        self.query_one("#doctor", TextPanel).put(Content.styled("looking at this machine …", "$muted"))

        def examine() -> "DoctorReport":
            from rung.engine.guide.doctor import doctor

            return doctor(root, [python] if python else [])

        self.rung.errand(examine, self._examined)

    def on_screen_resume(self) -> None:
        root = self.rung.root
        self.rung.errand(lambda: look_around(root), self._show_offer, self.opened)

    def _show_offer(self, offer: Offer) -> None:
        choices = self.query_one("#choices", OptionList)
        marked = choices.highlighted
        self._offer = offer
        listed = options(offer, self.rung.glyphs)
        choices.clear_options()
        choices.add_options(listed)
        choices.highlighted = first_enabled(listed) if marked is None else min(marked, choices.option_count - 1)
        self.refresh_bindings()
        self.opened()

    def _examined(self, report: "DoctorReport") -> None:
        self.query_one("#doctor", TextPanel).put(doctor_line(report, self.rung.glyphs.yes, self.rung.glyphs.no))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides starting where there is no recipe."""
        return bool(self._offer.recipes) if action == "start" else super().check_action(action, parameters)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        kind, _, what = str(event.option.id).partition(":")
        if kind == "demo":
            self._ask_demo(what)
        elif kind == "project":
            self.rung.open_project(Path(what))
        elif kind == "run":
            self.rung.open_run(RunFolder(Path(what)))
        elif kind == "runs":
            self.rung.open_screen("runs")
        else:
            {"start": self.action_start, "new": self.action_new, "open": self.action_open_folder}[kind]()

    # Beginning

    def action_start(self) -> None:
        """Choose one of this project's recipes and start it."""
        recipes = {str(path): path.name for path in self._offer.recipes}
        self.app.push_screen(
            ChoiceDialog("Start a recipe", recipes),
            lambda chosen: run_actions.start(self.rung, Path(chosen)) if chosen else None,
        )

    def action_new(self) -> None:
        """Make a project of the user's own."""
        self.app.push_screen(NewProjectDialog("New project", "Make it", make_project, self._made))

    def action_open_folder(self) -> None:
        """Open a project by its folder."""
        question, folder = "The folder that holds rung.yaml:", f"{self.rung.root}/"
        self.app.push_screen(
            FolderDialog("Open a project", question, folder, "Open", checked_project, self.rung.open_project)
        )

    def _made(self, made: tuple[Path, list[str]]) -> None:
        root, notes = made
        for note in notes:
            self.notify(note, markup=False, timeout=12)
        self.rung.open_project(root)

    def _ask_demo(self, kind: str) -> None:
        question = f"A new folder for the demo: {DEMOS[kind]}. Its recipe starts at once."
        default = str(self.rung.root / f"rung-demo-{kind}")
        python = self.rung.worker_python
        self.app.push_screen(
            FolderDialog(
                f"Demo {kind}", question, default, "Start", lambda root: begin_demo(kind, root, python), self._begun
            )
        )

    def _begun(self, begun: tuple[Path, RunFolder | None]) -> None:
        self.rung.open_project(*begun)


def checked_project(root: Path) -> Path:
    """The folder, if it is a project. Raises EngineError."""
    if not is_project(root):
        raise EngineError(f"{root} is not a project", "it has no rung.yaml", "n makes a new one")
    return root


def begin_demo(kind: str, root: Path, python: str | None, model: str = "pocket") -> tuple[Path, RunFolder | None]:
    """Make a demo project and start its recipe; one that is there already is only opened."""
    from rung.engine.guide.demo import make_demo
    from rung.engine.jobs.stack import require_stack
    from rung.engine.project.follow import load_fitted
    from rung.engine.project.load import load_project
    from rung.engine.training.launch import start_run

    if is_project(root):
        return root, None
    # Before a folder is made.
    require_stack("train", python, root)
    made = make_demo(kind, root, model)
    recipe = load_fitted(made / load_project(made).tune.recipe)
    if recipe.worker_python is None and python:
        recipe = recipe.model_copy(update={"worker_python": python})
    return made, start_run(recipe, made)


def doctor_line(report: "DoctorReport", yes: str, no: str) -> Content:
    """`8 cores · 31.2 GiB free · H200 · training ✔   rung doctor says more`; then what will not work."""
    devices = ", ".join(gpu.name for gpu in report.gpus) or "no GPU"
    free = gibibytes(report.memory.total - report.memory.used)
    line = Content.styled(f"{report.cores} cores · {free} memory free · {printable(devices)}", "$muted")
    for finding in report.findings:
        if not finding.works and finding.what != "GPU":
            line = Content.assemble(line, (f" · {finding.what} {no}", "bold $text-error"))
        elif finding.what == "training":
            line = Content.assemble(line, (f" · {finding.what} {yes}", "$muted"))
    return Content.assemble(line, ("   rung doctor says more", "$muted"))
