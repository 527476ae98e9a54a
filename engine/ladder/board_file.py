"""Where a scoreboard lies and by which rules it was judged: to be asked without what judges one."""

from collections.abc import Mapping
from typing import Any

BOARD_FILE = "scoreboard.json"
BOARD_VERSION = 3
"""Of the rules behind verdict and intervals: a scoreboard of an earlier one is judged anew when it is read."""


def is_current(board: Mapping[str, Any]) -> bool:
    """Whether the scoreboard was judged by today's rules."""
    return board.get("version") == BOARD_VERSION
