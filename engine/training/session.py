"""One sitting of a training run: lock, slot, training, and a last word whatever happens."""

import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import FrameType

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_json_atomic
from rung.engine.jobs.checkpoints import latest_checkpoint
from rung.engine.jobs.ending import RunEnded
from rung.engine.jobs.events import Cancelled, Failed, Phase, Queued, Started, Stopped, StopRequested
from rung.engine.jobs.failures import is_disk_full, last_words
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import HeldLock, lock_within
from rung.engine.jobs.reporter import Reporter
from rung.engine.jobs.requests import take_requests
from rung.engine.jobs.slots import TakenSlot, take_slot
from rung.engine.machine.oom_kills import count_oom_kills
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.downloads import bring_missing_models
from rung.engine.training.launch import root_of
from rung.engine.training.models_wanted import models_of_recipe
from rung.engine.training.recovery import OutOfMemory, shrink, start_again


def run_session(path: Path) -> int:
    """Train the run in `path` to its end, or until it is stopped. Exit code 0, or 1 when it failed."""
    folder = RunFolder(path.resolve())
    lock = lock_within(folder.lock, 2.0)
    if lock is None:
        print(f"{folder.id} is going on already", file=sys.stderr)
        return 1
    reporter = Reporter(folder.events)
    _stop_on_sigterm(folder)
    held: list[HeldLock] = []
    try:
        code = _sit(folder, reporter, held)
    finally:
        reporter.close()
    if code is None:
        start_again(folder, [lock, *held])
    lock.release()
    return code or 0


def _sit(folder: RunFolder, reporter: Reporter, held: list[HeldLock]) -> int | None:
    """The sitting's exit code, None where the worker is to start again; `held` gets the lock of its slot."""
    recipe: Recipe | None = None
    try:
        recipe = load_recipe(folder.recipe)
        # Before the run waits for a device: what can't be brought is known at once, and no GPU is held meanwhile.
        bring_missing_models(models_of_recipe(recipe, root_of(folder)), folder, reporter)
        taken = _take_slot(folder, reporter, recipe)
        if taken is None:
            return 0
        held.append(taken.lock)
        kills, launcher = count_oom_kills(), recipe.launcher.kind
        reporter.write(Started(socket.gethostname(), os.getpid(), [str(taken)], 1, kills, launcher))
        # The training stack is imported here, once the run has its place.
        reporter.write(Phase("load", unit="training stack"))
        from rung.engine.training.environment import describe_environment
        from rung.engine.training.train import train

        write_json_atomic(folder.environment, describe_environment())
        train(recipe, folder, root_of(folder), reporter)
        return 0
    except RunEnded as ended:
        reporter.write(ended.event)
        return 0
    except EngineError as error:
        reporter.write(Failed(error.message, error.details, error.hint, latest_checkpoint(folder) is not None))
        return 1
    except OutOfMemory as error:
        assert recipe is not None
        traceback.print_exc()
        if shrink(folder, recipe, str(error), reporter):
            return None
        assert isinstance(error.__cause__, Exception)
        reporter.write(last_words(error.__cause__, latest_checkpoint(folder) is not None))
        return 1
    except Exception as error:  # noqa: BLE001  (the edge of the process: a last word, whatever broke)
        traceback.print_exc()
        if is_disk_full(error):
            reporter.free_reserve()
        reporter.write(last_words(error, latest_checkpoint(folder) is not None))
        return 1


def _take_slot(folder: RunFolder, reporter: Reporter, recipe: Recipe) -> TakenSlot | None:
    asked: dict[str, str] = {}

    def should_give_up() -> bool:
        found = take_requests(folder)
        asked.update({kind: who for kind, who in found.items() if kind != "checkpoint"})
        return bool(asked)

    taken = take_slot(recipe.devices, folder, lambda wanted, who: reporter.write(Queued(wanted, who)), should_give_up)
    if taken is None:
        kind, who = next(iter(asked.items()))
        reporter.write(StopRequested(who))
        reporter.write(Stopped(0, True) if kind == "stop" else Cancelled(0, False))
    return taken


def _stop_on_sigterm(folder: RunFolder) -> None:
    """SIGTERM means: save, then end. It becomes a request like any other, so that it is taken at a step's end."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        request_stop = folder.requests / "stop"
        if not request_stop.exists():
            write_json_atomic(request_stop, {"who": signal.Signals(number).name, "time": 0.0})

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
