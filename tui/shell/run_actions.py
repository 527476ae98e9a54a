"""What can be asked of a run from the screens, when, and how: the engine is called from a thread."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.requests import Request, request
from rung.tui.shell.offers import start_or_offer
from rung.tui.watch.watched_run import WatchedRun

if TYPE_CHECKING:
    from rung.tui.shell.app import RungApp


def possible_actions(run: WatchedRun | None) -> frozenset[str]:
    """Of stop, cancel, checkpoint, resume: those that make sense now."""
    if run is None or run.folder is None:
        return frozenset()
    if run.live:
        asked = {"cancel"} if run.status == "stopping" else {"stop", "cancel"}
        return frozenset(asked | ({"checkpoint"} if run.status == "running" and run.state.step else set()))
    return frozenset({"resume"} if run.resumable else ())


def stop(app: "RungApp", run: WatchedRun) -> None:
    """Let it save, then end."""
    _request(app, run, "stop", "It saves and then stops.")


def checkpoint(app: "RungApp", run: WatchedRun) -> None:
    """Let it save now and go on."""
    _request(app, run, "checkpoint", "It saves a checkpoint at its next step.")


def cancel(app: "RungApp", run: WatchedRun) -> None:
    """End it without saving, once the user has said yes."""
    from rung.tui.shell.dialogs import ConfirmDialog

    def answered(sure: bool | None) -> None:
        if sure:
            _request(app, run, "cancel", "It ends at its next step.")

    saved = run.state.checkpoints[-1].get("step") if run.state.checkpoints else None
    lost = "Nothing is saved yet: all is lost." if saved is None else f"What was learned after step {saved} is lost."
    question = f"Cancel {run.id} at step {run.state.step}?\n{lost} The key s would save first."
    app.push_screen(ConfirmDialog("Cancel the run", question, yes="Cancel the run", no="Keep it going"), answered)


def resume(app: "RungApp", run: WatchedRun) -> None:
    """Go on from the last checkpoint."""
    folder = run.folder
    if folder is None:
        return

    def call() -> RunFolder:
        from rung.engine.training.launch import resume_run

        resume_run(folder)
        return folder

    app.notify("Starting its worker …", markup=False, timeout=3)
    app.errand(call, lambda _: app.notify("It goes on.", markup=False, timeout=3))


def start(app: "RungApp", recipe: Path) -> None:
    """Start a recipe of the project and go to its screen."""
    python = app.worker_python

    def call(fetch: bool) -> RunFolder:
        from rung.engine.project.follow import load_fitted
        from rung.engine.training.launch import start_run

        loaded = load_fitted(recipe)
        if loaded.worker_python is None and python:
            loaded = loaded.model_copy(update={"worker_python": python})
        return start_run(loaded, app.root, fetch=fetch)

    app.notify(f"Starting {recipe.name} …", markup=False, timeout=3)
    start_or_offer(app, call, app.open_run)


def _request(app: "RungApp", run: WatchedRun, kind: Request, said: str) -> None:
    if run.folder is not None:
        app.errand(partial(request, run.folder, kind), lambda _: app.notify(said, markup=False, timeout=3))
