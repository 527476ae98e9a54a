"""checks.json: what the last check of the project's rows and of its recipe found, and of which state of the files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_text, write_json_atomic
from rung.engine.project.schema import ProjectSettings

CHECKS_FILE = "checks.json"
Checked = Literal["data", "recipe"]


def note_check(root: Path, what: Checked, project: ProjectSettings, report: Mapping[str, Any]) -> None:
    """Keep the result of a check of the project's training rows, or of its recipe, with what was checked."""
    figures = {"problems": len(report["problems"])}
    if what == "data":
        figures |= {"rows": report["rows"], "used": report["used"]}
    write_json_atomic(root / CHECKS_FILE, _read(root) | {what: figures | {"of": _state_of(root, what, project)}})


def last_check(root: Path, what: Checked, project: ProjectSettings) -> Mapping[str, int] | None:
    """The figures of the last check; None where there was none, or where what it read has changed since."""
    found = _read(root).get(what)
    return found if isinstance(found, dict) and found.get("of") == _state_of(root, what, project) else None


def _read(root: Path) -> dict[str, Any]:
    if not (root / CHECKS_FILE).exists():
        return {}
    try:
        found = read_json(root / CHECKS_FILE)
    except EngineError:
        return {}  # Damaged: it is written anew by the next check.
    return found if isinstance(found, dict) else {}


def _state_of(root: Path, what: Checked, project: ProjectSettings) -> str:
    """A hash of what the check reads: settings, and of the files their size and the time they were written."""
    data, model = project.data, project.model
    files = [data.train] if what == "data" else [data.train, data.validation, data.test, project.tune.recipe]
    settings = {"data": data.model_dump(), "model": model.model_dump(), "files": [_stamp(root, name) for name in files]}
    return sha256_text(canonical_json(settings))


def _stamp(root: Path, name: str | None) -> list[Any]:
    try:
        found = (root / name).stat() if name is not None else None
    except OSError:
        found = None
    return [name, found and found.st_size, found and found.st_mtime_ns]
