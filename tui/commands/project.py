"""Finding the project and the runs that a command is about."""

from pathlib import Path

from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.project import project_root


def current_root() -> Path:
    """The project of the current folder, or that folder itself."""
    return project_root(Path.cwd())


def wanted_run(name: str) -> RunFolder:
    """The run that a person named: an id, a unique part of one, a path, or `last`."""
    return find_run(current_root(), name)
