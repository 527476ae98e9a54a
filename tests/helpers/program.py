"""Where the sources lie, and the command `rung` as a process of its own."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "rung" / "__main__.py"
RUNG = [sys.executable, str(PROGRAM)]
