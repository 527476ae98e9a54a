"""Opening the screens from the command line; the only commands' file that loads Textual."""

import sys
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.tui.commands.project import current_root


def open_screens() -> int:
    """The screens on the project of this folder, or the welcome screen."""
    require_a_usable_terminal()
    return _show(current_root())


def open_project(root: Path) -> int:
    """The screens on a project that is not this folder's."""
    require_a_usable_terminal()
    return _show(root)


def open_run_screen(wanted: str, replay: Path | None) -> int:
    """The Run screen on one run, or on a recorded log."""
    require_a_usable_terminal()
    return _show(current_root(), replay=replay) if replay is not None else _show(current_root(), run=wanted)


def _show(root: Path, **where: Any) -> int:
    from rung.tui.shell.app import RungApp

    app = RungApp(root=root, **where)
    app.run()
    return app.return_code or 0


def require_a_usable_terminal() -> None:
    """Raise EngineError where screens can't be shown: no terminal, or one that isn't UTF-8."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EngineError("The screens need a terminal", hint="without --screen the same is printed as plain lines")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        raise EngineError(
            f"The screens need UTF-8, and this terminal's encoding is {sys.stdout.encoding}",
            hint="set it with: export LC_ALL=C.UTF-8 PYTHONUTF8=1",
        )
