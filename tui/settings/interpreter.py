"""Which interpreter the workers of a command or a screen run in, and taking another for this project."""

import sys
from pathlib import Path

from rung.engine.core.errors import EngineError

_asked_for: list[str] = []
"""What `--python` of this command named."""


def worker_python(root: Path, from_settings: str | None = None) -> str | None:
    """That of `--python`, else of the project, else of the user's settings; None: the one Rung runs in."""
    from rung.engine.project.load import python_of_project
    from rung.tui.settings.stored import load_settings

    fallback = load_settings().worker_python if from_settings is None else from_settings
    return asked_for() or python_of_project(root) or fallback or None


def asked_for() -> str | None:
    """What `--python` of this command named."""
    return _asked_for[-1] if _asked_for else None


def use_python(path: Path, root: Path) -> None:
    """Let this command's workers run in the interpreter at `path`, and from now on the project's.

    Raises EngineError for one that can't train.
    """
    from rung.engine.jobs.stack import usable_python

    _asked_for[:] = [usable_python(path)]
    keep_python(root)


def keep_python(root: Path) -> None:
    """Write what `--python` named into the project's rung.yaml, where there is a project."""
    from rung.engine.project import is_project
    from rung.engine.project.load import python_of_project

    python = asked_for()
    if python is None or not is_project(root) or python_of_project(root) == python:
        return
    take_python(python, root)
    print(f"rung.yaml: worker_python is {python} from now on", file=sys.stderr)


def take_python(python: str, root: Path) -> None:
    """Make it the project's worker_python, in rung.yaml as it is written. Raises EngineError."""
    from rung.engine.guide.wizard import change_project

    try:
        change_project(root, {"worker_python": python})
    except EngineError as error:
        raise EngineError(f"worker_python can't be set: {error.message}", error.details, error.hint) from None
