"""Reading and writing rung.yaml, with every fault told at once."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rung.engine.core.commented_yaml import commented_yaml
from rung.engine.core.errors import EngineError
from rung.engine.core.faults import by_line, count_of, describe_faults
from rung.engine.core.files import write_text_atomic
from rung.engine.core.yaml_text import FieldPath, read_yaml
from rung.engine.project.root import PROJECT_FILE
from rung.engine.project.schema import ProjectSettings


def load_project(root: Path) -> ProjectSettings:
    """The settings in `root`/rung.yaml. Raises EngineError that lists every fault with file, line and field."""
    path = root / PROJECT_FILE
    if not path.exists():
        raise EngineError(f"{root} is not a project", f"there is no {PROJECT_FILE}", "rung new DIR makes one")
    value, lines = read_yaml(path)
    if not isinstance(value, dict):
        raise EngineError(f"{path} holds no fields", hint="rung new DIR writes a first one")
    return build_project(value, str(path), lines)


def python_of_project(root: Path) -> str | None:
    """The interpreter of workers that rung.yaml names, whatever else stands there; None without one, or a project."""
    path = root / PROJECT_FILE
    if not path.exists():
        return None
    try:
        value, _ = read_yaml(path)
    except EngineError:
        return None  # Whoever reads the project itself says what is wrong with the file.
    python = value.get("worker_python") if isinstance(value, dict) else None
    return python if isinstance(python, str) and python else None


def build_project(value: dict[str, Any], origin: str, lines: dict[FieldPath, int] | None = None) -> ProjectSettings:
    """Checked settings from plain values; `origin` and `lines` are used in messages."""
    try:
        return ProjectSettings.model_validate(value)
    except ValidationError as error:
        faults = describe_faults(error, ProjectSettings, lines or {})
        told = "\n".join(by_line(faults))
        hint = "a rung.yaml that rung new wrote explains every field"
        raise EngineError(f"{count_of(faults)} in {origin}", told, hint) from None


def save_project(root: Path, settings: ProjectSettings) -> None:
    """Replace `root`/rung.yaml in one step: every field, with its comment. Comments of the user's own are lost."""
    header = f"# {settings.name}: a project of Rung. Paths are relative to this folder.\n"
    write_text_atomic(root / PROJECT_FILE, header + commented_yaml(settings))
