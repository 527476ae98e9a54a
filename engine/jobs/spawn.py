"""Starting the worker of a job folder: in a session of its own, its output in worker.log, until its first event."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.reader import log_tail
from rung.engine.jobs.stack import require_stack

START_SECONDS = 30.0
_NOTHING = (0, 0)


def spawn_worker(
    kind: str, folder: RunFolder, what: str, cwd: Path, python: str | None, environment: Mapping[str, str] | None = None
) -> None:
    """Start `rung worker KIND FOLDER` and wait for the first event it writes; `what` names the job in messages.

    Raises EngineError where the interpreter lacks what the worker needs (LacksStack) or can't be started, or the worker
    ends or stays silent.
    """
    require_stack(kind, python, cwd)
    before = _mark(folder.events)
    with folder.log.open("ab") as log:
        try:
            process = subprocess.Popen(
                worker_command(kind, str(folder.path), python=python),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=environment or worker_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"The worker can't be started with {python}", str(error), "set worker_python to a Python interpreter"
            ) from error
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _mark(folder.events) not in (before, _NOTHING):
            return
        if process.poll() is not None:
            raise EngineError(f"{what} ended at once", log_tail(folder, 2000), "rung doctor checks the set-up")
        time.sleep(0.02)
    raise EngineError(f"{what} gives no sign of life", log_tail(folder, 2000), f"see {folder.log}")


def _mark(events: Path) -> tuple[int, int]:
    """Which file it is and how long; a worker appends to its events, or begins them anew."""
    try:
        found = events.stat()
    except FileNotFoundError:
        return _NOTHING
    return (found.st_ino, found.st_size) if found.st_size else _NOTHING
