"""A project's folder, there whole or not at all: written beside its place, or inside a folder that is there already."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rung.engine.core.errors import EngineError

_MARK = ".rung-new-"


@contextmanager
def whole_or_not_at_all(root: Path) -> Iterator[Path]:
    """A folder to write into; what it holds becomes that of `root` (empty or not there) when all went well.

    Otherwise nothing is left, of folders above `root` that had to be made neither. A `root` that is there is kept as
    the folder that it is: a shell may stand in it.
    """
    made = _make_parents(root)
    staging: Path | None = None
    try:
        within = root if root.is_dir() else root.parent
        staging = Path(tempfile.mkdtemp(prefix=_MARK, dir=within))
        yield staging
        if root.is_dir():
            _move_into(root, staging)
        else:
            staging.chmod(0o777 & ~_umask())
            os.replace(staging, root)
    except BaseException:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            folder.rmdir()
        raise


def refuse_if_filled(root: Path) -> None:
    """Raise EngineError where `root` is a file, or a folder with anything in it."""
    if root.exists() and not root.is_dir():
        raise EngineError(f"{root} is a file", hint="give a new folder")
    held = sorted(file.name for file in root.iterdir()) if root.is_dir() else []
    if held:
        of_ours = [name for name in held if name.startswith(_MARK)]
        hint = f"remove {of_ours[0]}, which an interrupted attempt left" if held == of_ours else ""
        raise EngineError(f"{root} is not empty", "nothing in it was changed", hint or "give a new or an empty folder")


def _make_parents(root: Path) -> list[Path]:
    """The folders that were made above `root`, the innermost first. Raises EngineError where none can be made."""
    missing = [folder for folder in root.parents if not folder.exists()]
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{root} can't be made", str(error), "give another folder") from None
    return missing


def _move_into(root: Path, staging: Path) -> None:
    moved: list[Path] = []
    try:
        for item in sorted(staging.iterdir()):
            os.replace(item, root / item.name)
            moved.append(root / item.name)
        staging.rmdir()
    except BaseException:
        for item in moved:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
