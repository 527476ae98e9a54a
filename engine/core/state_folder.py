"""Where Rung keeps what is the user's but no project's: logs of interactive workers, recent projects."""

import os
from pathlib import Path


def state_folder() -> Path:
    """`rung` in the user's state folder (XDG_STATE_HOME, or ~/.local/state); it may not be there yet."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "rung"
