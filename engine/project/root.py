"""Which folder is the project: the nearest one that holds rung.yaml."""

from pathlib import Path

PROJECT_FILE = "rung.yaml"


def project_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds rung.yaml; `start` itself where none does. Absolute."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if is_project(candidate):
            return candidate
    return folder


def is_project(folder: Path) -> bool:
    """Whether the folder itself holds rung.yaml."""
    return (folder / PROJECT_FILE).is_file()
