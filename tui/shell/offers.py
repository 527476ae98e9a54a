"""What a screen offers where a job can't start as it is, but could after one key."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rung.engine.core.errors import EngineError

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp

Result = TypeVar("Result")


def start_or_offer(
    app: "RungApp",
    start: Callable[[bool], Result],
    done: Callable[[Result], object],
    failed: Callable[[], object] = lambda: None,
) -> None:
    """Start a job in a thread; where models are not on this machine, ask whether it may fetch them first.

    `start` is called with whether it may. `failed` is called where it doesn't start; an error is shown.
    """

    def refused(error: EngineError) -> None:
        from rung.engine.training.models_wanted import MissingModels
        from rung.tui.shell.dialogs import ConfirmDialog

        if not isinstance(error, MissingModels):
            failed()
            app.show_error(error)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                app.notify("It fetches first, then starts.", markup=False, timeout=3)
                app.errand(lambda: start(True), done, failed)
            else:
                failed()

        question = f"{error.message}.\n{error.details}\nShall the job fetch from the hub first?"
        app.push_screen(ConfirmDialog("Fetch first", question, yes="Fetch and start", no="Don't start"), answered)

    app.errand(lambda: start(False), done, refused=refused)
