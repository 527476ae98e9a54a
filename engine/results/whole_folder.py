"""A folder that is whole or not there: filled beside its final name, and renamed when it is complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.lock import try_lock
from rung.engine.results.exports import partial_of, refuse_filled


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill; it becomes `target` when the block ends, and is removed when the block raises.

    Raises EngineError where `target` holds something, or another process is filling it.
    """
    refuse_filled(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(target)
    lock_path = partial.with_suffix(".lock")
    lock = try_lock(lock_path)
    if lock is None:
        raise EngineError(f"Another process is writing {target} already", hint="wait for it, or name another folder")
    try:
        # What a killed process left behind.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        refuse_filled(target)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock_path.unlink(missing_ok=True)
        lock.release()
