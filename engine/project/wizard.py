"""Where the wizard stands, on disk: wizard.json for the way through the pages, rung.yaml for what is settled on them.

Both are replaced in one step at each change, so that whoever comes back goes on from there.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import EngineError
from engine.files import read_json, write_json_atomic

if TYPE_CHECKING:
    from engine.project.schema import ProjectSettings

WIZARD_FILE = "wizard.json"
Page = Literal["situation", "model", "data", "prompt", "rag", "tune", "verdict"]
PAGES: tuple[Page, ...] = get_args(Page)

# One process's own changes come from several threads; two that read and write the same file would lose one.
_writing = threading.Lock()


@dataclass(frozen=True)
class WizardState:
    """`page` is where one stands, `seen` where one was, `drafts` what was written and is no setting (a question).

    `retrieval` is the last measurement of retrieval by itself: a later climb without documents doesn't repeat it.
    """

    page: Page = "situation"
    seen: tuple[Page, ...] = ()
    drafts: Mapping[str, str] = field(default_factory=dict)
    retrieval: Mapping[str, Any] | None = None

    def at(self, page: Page) -> "WizardState":
        """The state on another page."""
        return replace(self, page=page, seen=tuple(each for each in PAGES if each in {*self.seen, self.page}))


def load_wizard(root: Path) -> WizardState:
    """The state as it was left; a fresh one where there is none. Raises EngineError for a damaged file."""
    path = root / WIZARD_FILE
    if not path.exists():
        return WizardState()
    value = read_json(path)
    if not isinstance(value, dict) or value.get("page") not in PAGES:
        raise EngineError(f"{path} is not the wizard's", hint="delete it: the wizard then begins at its first page")
    seen = tuple(page for page in PAGES if page in (value.get("seen") or []))
    drafts = {str(name): str(text) for name, text in (value.get("drafts") or {}).items()}
    return WizardState(value["page"], seen, drafts, value.get("retrieval"))


def save_wizard(root: Path, state: WizardState) -> None:
    """Replace wizard.json."""
    write_json_atomic(root / WIZARD_FILE, asdict(state))


def change_project(root: Path, changes: Mapping[str, Any]) -> "ProjectSettings":
    """rung.yaml with some fields replaced, named as `data.train`; on disk when this returns.

    Nothing is written where nothing changes. Raises EngineError where the settings don't fit together.
    """
    from engine.project.load import build_project, load_project, save_project

    with _writing:
        before = load_project(root)
        value = before.model_dump(by_alias=True)
        for name, new in changes.items():
            _put(value, name.split("."), new)
        after = build_project(value, "the wizard's changes")
        if after != before:
            save_project(root, after)
        return after


def change_recipe(root: Path, file: str, changes: Mapping[str, Any]) -> None:
    """The recipe `file` with some fields replaced, named as `training.learning_rate`. Raises EngineError."""
    from engine.project.recommend import Recommended, write_recipe
    from engine.recipe.load import build_recipe, load_recipe

    with _writing:
        before = load_recipe(root / file)
        value = before.model_dump(by_alias=True)
        for name, new in changes.items():
            _put(value, name.split("."), new)
        after = build_recipe(value, file)
        if after != before:
            write_recipe(root, Recommended(after, {}), file)


def _put(value: dict[str, Any], path: list[str], new: Any) -> None:
    for key in path[:-1]:
        if not isinstance(value.get(key), dict):
            value[key] = {}
        value = value[key]
    value[path[-1]] = new
