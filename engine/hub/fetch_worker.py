"""The worker of a download: lock, the model file by file, and a last word whatever happens."""

import os
import signal
import socket
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.hub.cache import bytes_begun, cached_model, is_offline
from rung.engine.hub.download import Fetched, fetch_model
from rung.engine.hub.download_events import DownloadEvents
from rung.engine.hub.fetch import JOB_FILE, RESULT_FILE
from rung.engine.jobs.events import Cancelled, Failed, Finished, Phase, Queued, Started, Stopped, StopRequested, Warned
from rung.engine.jobs.failures import is_disk_full, last_words
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.jobs.requests import take_requests
from rung.engine.jobs.session import sit


def main(path: Path) -> int:
    """Bring the model that the job in the folder `path` names. Exit code 0, or 1 when it failed."""
    return sit(path, _Job, _forget_earlier)


def _forget_earlier(folder: RunFolder) -> None:
    """What earlier sittings said is of no use to anybody: what they brought is in the cache."""
    folder.events.unlink(missing_ok=True)
    (folder.path / RESULT_FILE).unlink(missing_ok=True)


class _StopAsked(Exception):
    """Somebody asked the download to end; `kind` is stop or cancel. Either way what has come is kept."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Job:
    """One sitting of the download."""

    def __init__(self, folder: RunFolder, reporter: Reporter) -> None:
        self._folder, self._reporter = folder, reporter
        self._events = DownloadEvents(reporter.write)
        self._signalled = ""

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """SIGTERM means: end, and keep what has come."""
        self._signalled = signal.Signals(number).name

    def run(self) -> int:
        """The download and its last word."""
        asked = read_json(self._folder.path / JOB_FILE)
        name, revision = str(asked["model"]), asked["revision"]
        self._reporter.write(Queued("the hub"))
        self._reporter.write(Started(socket.gethostname(), os.getpid(), [], 1))
        try:
            fetched = self._fetch(name, revision, bool(asked["code"]))
            result = {"model": name, "revision": revision} | asdict(fetched) | {"path": str(fetched.path)}
            del result["name"]
            write_json_atomic(self._folder.path / RESULT_FILE, result)
            self._reporter.write(Finished(0, {"bytes": fetched.bytes}, str(fetched.path), f"commit {fetched.commit}"))
            return 0
        except _StopAsked as asked_for:
            ended = Stopped(0, resumable=True) if asked_for.kind == "stop" else Cancelled(0, resumable=True)
            self._reporter.write(ended)
            return 0
        except EngineError as error:
            self._reporter.write(Failed(error.message, error.details, error.hint, resumable=bytes_begun(name) > 0))
            return 1
        except Exception as error:  # noqa: BLE001  (the edge of the process: a last word, whatever broke)
            traceback.print_exc()
            if is_disk_full(error):
                self._reporter.free_reserve()
            self._reporter.write(last_words(error, resumable=True, work="download"))
            return 1

    def _fetch(self, name: str, revision: str | None, code: bool) -> Fetched:
        self._reporter.write(Phase("download", unit="bytes"))
        here = cached_model(name, revision)
        if here is None or not is_offline():
            return fetch_model(name, revision, self._tell, code=code)
        self._reporter.write(Warned("Offline is asked for: the hub was not asked whether it has something newer"))
        sizes = [file.stat().st_size for file in here.rglob("*") if file.is_file()]
        return Fetched(name, here.name, here, len(sizes), sum(sizes), 0)

    def _tell(self, done: int, total: int | None) -> None:
        self._events.tell(done, total)
        if self._signalled:
            self._reporter.write(StopRequested(self._signalled))
            raise _StopAsked("stop")
        for kind, who in take_requests(self._folder).items():
            if kind != "checkpoint":
                self._reporter.write(StopRequested(who))
                raise _StopAsked(kind)
