"""The channel down to a worker: small files in the run's `requests/`, taken by the worker at its next step."""

import getpass
import socket
import time
from pathlib import Path
from typing import Literal, get_args

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked

Request = Literal["stop", "cancel", "checkpoint"]


def request(folder: RunFolder, kind: Request, who: str = "") -> None:
    """Ask a live run to stop (save, then end), to cancel (end), or to save a checkpoint now. Raises EngineError."""
    if not is_locked(folder.lock):
        raise EngineError(f"{folder.id} is not going on", hint="rung resume goes on with a stopped run")
    write_json_atomic(folder.requests / kind, {"who": who or _whoami(), "time": time.time()})


def take_requests(folder: RunFolder) -> dict[Request, str]:
    """Requests waiting, with who asked; each is given once. For the worker."""
    found: dict[Request, str] = {}
    for kind in get_args(Request):
        path = folder.requests / kind
        if path.exists():
            found[kind] = _who(path)
            path.unlink(missing_ok=True)
    return found


def drop_requests(folder: RunFolder) -> None:
    """Forget requests meant for an earlier sitting of the run."""
    for kind in get_args(Request):
        (folder.requests / kind).unlink(missing_ok=True)


def _who(path: Path) -> str:
    try:
        return str(read_json(path).get("who", "somebody"))
    except (EngineError, AttributeError):
        return "somebody"


def _whoami() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
