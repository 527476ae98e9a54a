"""The worker of an evaluation or a climb: lock, turn, work, and a last word whatever happens."""

import os
import signal
import socket
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.jobs.events import Event, Failed, Finished, Phase, Queued, Recovered, Started, Stopped, StopRequested
from rung.engine.jobs.failures import is_disk_full, last_words
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import HeldLock, try_lock
from rung.engine.jobs.reporter import Reporter
from rung.engine.jobs.requests import take_requests
from rung.engine.jobs.session import sit
from rung.engine.jobs.slots import see_freest_gpu
from rung.engine.ladder.launch import JOB_FILE, RESULT_FILE
from rung.engine.project.load import load_project
from rung.engine.training.launch import root_of

TURN_SECONDS = 0.5


def main(path: Path) -> int:
    """Do the job in the folder `path` to its end. Exit code 0, or 1 when it failed."""
    return sit(path, _Job, lambda _folder: None)


class _StopAsked(Exception):
    """Somebody asked the job to stop."""


class _Job:
    """One sitting of the job: its events, and whether it was asked to stop."""

    def __init__(self, folder: RunFolder, reporter: Reporter) -> None:
        self._folder, self._reporter = folder, reporter
        self._asked: str | None = None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """SIGTERM means: stop. What is on disk stays; the next sitting goes on from there."""
        self._asked = self._asked or signal.Signals(number).name

    def run(self) -> int:
        """The job and its last word."""
        self._reporter.write(Queued("the project's evaluations"))
        turn: HeldLock | None = None
        try:
            turn = self._wait_for_turn()
            gpu = see_freest_gpu()
            self._reporter.write(Started(socket.gethostname(), os.getpid(), [str(gpu)] if gpu else ["cpu"], 1))
            result = self._work(read_json(self._folder.path / JOB_FILE))
            write_json_atomic(self._folder.path / RESULT_FILE, result)
            self._reporter.write(Finished(0, {}, RESULT_FILE, ""))
            return 0
        except _StopAsked:
            return self._stopped()
        except EngineError as error:
            if self._asked is not None:
                return self._stopped()
            self._reporter.write(Failed(error.message, error.details, error.hint, resumable=True))
            return 1
        except Exception as error:  # noqa: BLE001 the last word of a job, whatever broke: the edge of the process
            traceback.print_exc()
            if is_disk_full(error):
                self._reporter.free_reserve()
            self._reporter.write(last_words(error, resumable=True, work="evaluation"))
            return 1
        finally:
            if turn is not None:
                turn.release()

    def _work(self, job: dict[str, Any]) -> Any:
        # The work's own modules load what they need of the training stack when they need it.
        from rung.engine.ladder.jobs import run_climb, run_evaluation

        root = root_of(self._folder)
        project = load_project(root)
        if job["kind"] == "climb":
            return run_climb(root, project, job, self._folder, self._report, self._interrupted)
        return run_evaluation(root, project, job, self._report)

    def _report(self, event: Event) -> None:
        """Write the event; between two batches is where a request to stop is heard."""
        self._reporter.write(event)
        waits_for_training = isinstance(event, Phase) and event.name == "train"
        if isinstance(event, (Phase, Recovered)) and not waits_for_training and self._interrupted() is not None:
            raise _StopAsked

    def _interrupted(self) -> str | None:
        for kind, who in take_requests(self._folder).items():
            if kind != "checkpoint" and self._asked is None:
                self._asked = who
                self._reporter.write(StopRequested(who))
        return f"stop asked for by {self._asked}" if self._asked is not None else None

    def _wait_for_turn(self) -> HeldLock:
        """One job at a time evaluates a project: it is the only writer of its answers."""
        import time

        path = self._folder.path.parent / "lock"
        while (held := try_lock(path)) is None:
            if self._interrupted() is not None:
                raise _StopAsked
            time.sleep(TURN_SECONDS)
        return held

    def _stopped(self) -> int:
        self._reporter.write(Stopped(0, resumable=True))
        return 0
