"""The projects that the user opened last, so that the welcome screen can offer them."""

import json
import time
from pathlib import Path

from rung.engine.core.files import write_json_atomic
from rung.engine.core.state_folder import state_folder
from rung.engine.project.root import is_project

KEPT = 20


def recent_projects() -> list[Path]:
    """Projects opened on this machine that are still there, last opened first."""
    return [path for path in _saved() if is_project(path)]


def remember_project(root: Path) -> None:
    """Put a project first among the recent ones. Where the state folder can't be written, nothing is remembered."""
    opened = root.resolve()
    paths = [opened, *(path for path in _saved() if path != opened)][:KEPT]
    try:
        write_json_atomic(_file(), {"projects": [str(path) for path in paths], "time": round(time.time(), 3)})
    except OSError:
        # A read-only home is no reason not to open a project.
        return


def _file() -> Path:
    return state_folder() / "projects.json"


def _saved() -> list[Path]:
    try:
        value = json.loads(_file().read_text(encoding="utf-8"))
        return [Path(path) for path in value["projects"] if isinstance(path, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
