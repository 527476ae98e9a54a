"""Where the wizard stands, on disk: wizard.json for the way through the pages, rung.yaml for what is settled on them.

Both are replaced in one step at each change, so that whoever comes back goes on from there.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_bytes_atomic, write_json_atomic

if TYPE_CHECKING:
    from rung.engine.project.schema import ProjectSettings
    from rung.engine.recipe.schema import Recipe

WIZARD_FILE = "wizard.json"
Page = Literal["situation", "model", "data", "prompt", "rag", "tune", "verdict"]
PAGES: tuple[Page, ...] = get_args(Page)

# One process's own changes come from several threads; two that read and write the same file would lose one.
_writing = threading.Lock()
_NOTHING = object()


@dataclass(frozen=True)
class WizardState:
    """`page` is where one is, `drafts` what was written and is no setting (a question, a wrong number).

    `retrieval` is the last measurement of retrieval by itself: a later climb without documents doesn't repeat it.
    """

    page: Page = "situation"
    drafts: Mapping[str, str] = field(default_factory=dict)
    retrieval: Mapping[str, Any] | None = None

    def at(self, page: Page) -> "WizardState":
        """The state on another page."""
        return replace(self, page=page)


def load_wizard(root: Path) -> WizardState:
    """The state as it was left; a fresh one where there is none. Raises EngineError for a damaged file."""
    path = root / WIZARD_FILE
    if not path.exists():
        return WizardState()
    value = read_json(path)
    if not isinstance(value, dict) or value.get("page") not in PAGES:
        raise EngineError(f"{path} is not the wizard's", hint="delete it: the wizard then begins at its first page")
    drafts = {str(name): str(text) for name, text in (value.get("drafts") or {}).items()}
    return WizardState(value["page"], drafts, value.get("retrieval"))


def save_wizard(root: Path, state: WizardState) -> None:
    """Replace wizard.json."""
    write_json_atomic(root / WIZARD_FILE, asdict(state))


def change_project(root: Path, changes: Mapping[str, Any]) -> "ProjectSettings":
    """rung.yaml with some fields replaced in place, named as `data.train`; on disk when this returns.

    Raises EngineError where the settings don't fit together; nothing is written then.
    """
    from rung.engine.project.load import build_project, load_project
    from rung.engine.project.root import PROJECT_FILE

    path = root / PROJECT_FILE
    with _writing:
        before = load_project(root)
        edited, value = _edited(path, _that_differ(before, changes))
        after = build_project(value, "the wizard's changes")
        _write(path, edited)
        return after


def change_recipe(root: Path, file: str, changes: Mapping[str, Any]) -> None:
    """The recipe `file` with some fields replaced in place, named as `training.learning_rate`; None for one of those
    that the table has is the recommended value.

    Values that were the recommended ones before follow the method, what is trained, and the model. Raises EngineError.
    """
    from rung.engine.project.follow import load_fitted, with_recommended
    from rung.engine.recipe.load import build_recipe

    path = root / file
    with _writing:
        before = load_fitted(path)
        after = build_recipe(_edited(path, _that_differ(before, changes))[1], file)
        values, comments = with_recommended(before, after, changes, root)
        edited, value = _edited(path, _that_differ(before, {**changes, **values}), comments)
        build_recipe(value, file)
        _write(path, edited)


def _that_differ(before: "ProjectSettings | Recipe", changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes to other values than those in force: what a file leaves to a default stays left to it."""
    values = before.model_dump(by_alias=True)

    def in_force(name: str) -> Any:
        found: Any = values
        for key in name.split("."):
            found = found.get(key, _NOTHING) if isinstance(found, dict) else _NOTHING
        return found

    return {name: new for name, new in changes.items() if in_force(name) != new}


def _edited(
    path: Path, changes: Mapping[str, Any], comments: Mapping[str, tuple[frozenset[str], str]] | None = None
) -> tuple[str, dict[str, Any]]:
    """The file's text with the changes made in it, and what it says then."""
    from rung.engine.core.yaml_edit import edit_comments, edit_yaml
    from rung.engine.core.yaml_text import parse_yaml

    text = edit_yaml(path.read_bytes().decode(), changes, path.name)
    text = edit_comments(text, comments or {}, path.name)
    return text, parse_yaml(text, path.name)[0]


def _write(path: Path, text: str) -> None:
    if path.read_bytes() != (content := text.encode()):
        write_bytes_atomic(path, content)
