"""What the wizard has the engine do: writing changes down, checks, splits, questions, models. For threads."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError

if TYPE_CHECKING:
    from rung.engine.guide.wizard import WizardState
    from rung.engine.project.schema import ProjectSettings

Work = Callable[[str], Any]
Tell = Callable[[dict[str, Any]], object]


@dataclass
class Edits:
    """Changes that are not on disk yet; of one field the last one counts. `origins` says where each was typed."""

    project: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    state_changed: bool = False

    def __bool__(self) -> bool:
        return bool(self.project or self.recipe or self.state_changed)

    def put(self, where: str, name: str, value: Any, origin: str = "") -> None:
        """Note one change."""
        self.origins[name] = origin
        if where == "drafts":
            self.state_changed = True
        else:
            getattr(self, where)[name] = value

    def take(self) -> "Edits":
        """All of them, to be written; none are left here."""
        taken = Edits(self.project, self.recipe, self.origins, self.state_changed)
        self.project, self.recipe, self.origins, self.state_changed = {}, {}, {}, False
        return taken


@dataclass(frozen=True)
class Refused:
    """A change that does not fit, and the field where it was typed; "" where it was chosen otherwise."""

    origin: str
    error: EngineError


def save_edits(root: Path, edits: Edits, state: "WizardState", recipe_file: str) -> list[Refused]:
    """Write them: rung.yaml, the recipe, wizard.json; each in one step. Gives the changes that don't fit.

    Raises EngineError where a file can't be read or written.
    """
    from rung.engine.guide.wizard import change_project, change_recipe, save_wizard

    refused = _those_that_fit(edits.project, edits.origins, lambda changes: change_project(root, changes))
    refused += _those_that_fit(edits.recipe, edits.origins, lambda changes: change_recipe(root, recipe_file, changes))
    if edits.state_changed:
        save_wizard(root, state)
    return refused


def _those_that_fit(
    changes: dict[str, Any], origins: Mapping[str, str], write: Callable[[dict[str, Any]], object]
) -> list[Refused]:
    """Write the changes at once; where they don't fit, one by one, so that one keeps no other from being written."""
    if not changes:
        return []
    try:
        write(changes)
    except EngineError as error:
        if len(changes) == 1:
            return [Refused(origins.get(name, ""), error) for name in changes]
        return [each for name, value in changes.items() for each in _those_that_fit({name: value}, origins, write)]
    return []


def wizard_errands(root: Path, project: "ProjectSettings", python: str | None, tell: Tell) -> dict[str, Work]:
    """The work by name; each takes the text of the field it stands for and gives a result, or lines to be shown.

    `tell` gets the events of what takes long, in the errand's thread.
    """
    return {
        "check": lambda _: _check(root, project, python),
        "gate": lambda _: _gate(root, project),
        "ask": lambda question: _ask(root, question, python, tell),
        "retrieval": lambda _: _measure_retrieval(root, python, tell),
        "split": lambda file: split_rows(root, Path(file).expanduser()),
        "use": lambda name: _use(root, name),
        "documents": lambda folder: name_documents(root, folder),
        "endpoint": lambda text: add_endpoint(root, text),
    }


def split_rows(root: Path, file: Path) -> list[str]:
    """Divide a file into the project's splits and freeze them; gives what its owner should know."""
    from rung.engine.data.read import data_files
    from rung.engine.guide.new import split_into, split_plan
    from rung.engine.guide.new_rows import read_new_rows
    from rung.engine.guide.wizard import change_project, change_recipe
    from rung.engine.project.load import load_project
    from rung.engine.recipe.load import load_recipe

    path = file if file.is_absolute() else root / file
    project = load_project(root)
    found = read_new_rows(path, project.data)
    sources = {os.path.relpath(each, root): each for each in data_files(path)}
    data = project.data.model_copy(update={"columns": found.columns})
    made = split_into(root, found.rows, data, split_plan(data), sources)
    files = {f"data.{name}": split.file for name, split in made.record.splits.items() if name != "final"}
    changes = {**files, "data.columns": found.columns}
    change_project(root, {**changes, "data.sources": [*sources], "data.group_by": made.record.group_by})
    told = [*found.warnings, *made.warnings, *found.notes, *made.notes]
    recipe = root / project.tune.recipe
    if recipe.exists():
        change_recipe(root, project.tune.recipe, {name: new for name, new in changes.items() if name != "data.test"})
        if (method := load_recipe(recipe).method) != found.method:
            told.insert(0, f"these rows are for method {found.method}; {project.tune.recipe} is for {method}")
    return told


def name_documents(root: Path, folder: str) -> list[str]:
    """Make a folder the project's documents. Raises EngineError where there is nothing."""
    from rung.engine.core.files import is_path
    from rung.engine.guide.wizard import change_project
    from rung.engine.retrieval.settings import RetrievalSettings

    if not is_path(root / Path(folder).expanduser()):
        raise EngineError(f"There are no documents at {folder}", hint="a folder or a file; seen from the project")
    change_project(root, {"documents": RetrievalSettings(path=folder)})
    return []


def add_endpoint(root: Path, text: str) -> list[str]:
    """Add a model behind an endpoint, written as URL MODEL [KEY_VARIABLE]. Raises EngineError."""
    from rung.engine.guide.wizard import change_project
    from rung.engine.project.load import load_project

    words = text.split()
    if len(words) not in (2, 3) or not words[0].startswith("http"):
        raise EngineError(
            "That is not an endpoint", text, "write it as http://localhost:8000/v1 MODEL, and the variable of its key"
        )
    known = [each.model_dump() for each in load_project(root).endpoints]
    name = words[1].rpartition("/")[2]
    key = words[2] if len(words) == 3 else None
    change_project(
        root, {"endpoints": [*known, {"name": name, "url": words[0], "model": words[1], "key_variable": key}]}
    )
    return [f"{name} is measured beside the project's model on the prompt rung"]


def recipe_text(root: Path, file: str) -> str:
    """The recipe's file as it is."""
    try:
        return (root / file).read_text(encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{file} can't be read", str(error)) from error


def _check(root: Path, project: "ProjectSettings", python: str | None) -> dict[str, Any]:
    from rung.engine.check.check import check_data, used_elsewhere
    from rung.engine.project.checks import note_check

    data = project.data
    assert data.train is not None
    report = check_data(
        data.train, root, project.model.model_dump(), python=python, shape=data.shape, columns=data.columns,
        used_elsewhere=used_elsewhere(project),
    )  # fmt: skip
    note_check(root, "data", project, report)
    return report


def _gate(root: Path, project: "ProjectSettings") -> dict[str, Any]:
    from rung.engine.check.check import check_recipe
    from rung.engine.project.checks import note_check

    report = check_recipe(root / project.tune.recipe, root)
    note_check(root, "recipe", project, report)
    return report


def _ask(root: Path, question: str, python: str | None, tell: Tell) -> dict[str, Any]:
    from rung.engine.check.search import ask_documents

    return ask_documents(root, question, python=python, tell=tell)


def _measure_retrieval(root: Path, python: str | None, tell: Tell) -> dict[str, Any]:
    from rung.engine.check.search import measure_alone

    return measure_alone(root, python=python, tell=tell)


def _use(root: Path, name: str) -> list[str]:
    from rung.engine.guide.model_choices import choose_model
    from rung.engine.models.load import model_folder
    from rung.engine.project.load import load_project

    choose_model(root, name)
    chosen = load_project(root).model
    told = [f"the model is {name} from now on; what another one scored stays on the scoreboard"]
    missing = model_folder(chosen.name, root, chosen.revision) is None
    return [*told, "it is not here yet: f fetches it"] if missing else told
