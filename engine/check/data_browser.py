"""A data source to look through, row by row: the worker that has read it, and what is asked of it.

The process that uses this never imports the training stack. The worker ends when its stdin closes, so it can't outlive
its user.
"""

import json
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.stack import require_stack

_LOG_TAIL = 2000


class DataBrowser:
    """A worker that reads one data source (`asked` as `check.data_question` gives it) and answers for its rows.

    Calls wait for their answer, one at a time, and are made from threads. They raise EngineError.
    """

    def __init__(self, asked: dict[str, Any], python: str | None = None) -> None:
        self._asked, self._python = asked, python
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def open(self) -> dict[str, Any]:
        """Start the worker and give the report, as `rung check --json` prints it."""
        require_stack("browse", self._python, Path(self._asked["root"]))
        with self._lock:
            if self._closed:
                raise EngineError("The rows are no longer looked at")
            self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            try:
                self._process = subprocess.Popen(
                    worker_command("browse", python=self._python),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    text=True,
                    encoding="utf-8",
                    env=worker_environment(),
                    # Ctrl-C in the terminal is for the screens; the worker ends when its stdin closes.
                    start_new_session=True,
                )
            except OSError as error:
                raise EngineError(
                    f"The worker can't be started with {self._python}", str(error), "set worker_python to a Python"
                ) from error
        report: dict[str, Any] = self._ask(self._asked)["report"]
        return report

    def rows(self, find: str, kind: str | None, start: int, count: int) -> tuple[list[dict[str, Any]], int]:
        """Part of the rows that contain `find` and are of a kind (None: of any), and how many there are of them."""
        found = self._ask({"find": find, "kind": kind, "start": start, "count": count})
        return found["rows"], found["total"]

    def row(self, number: int) -> dict[str, Any]:
        """One row with the parts of its text, trained or not."""
        found: dict[str, Any] = self._ask({"row": number})["row"]
        return found

    def close(self) -> None:
        """End the worker, also in the middle of an answer."""
        self._closed = True
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._log):
            if stream is not None:
                # What was still to be written to a worker that is gone.
                with suppress(OSError, ValueError):
                    stream.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            process = self._process
            assert process is not None and process.stdin is not None and process.stdout is not None
            line = ""
            # A worker that ended, or that is ended now: said below.
            with suppress(OSError, ValueError):
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line.endswith("\n"):
                raise EngineError("Reading the rows broke off", self._last_words(), "rung doctor checks the set-up")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(**answer["error"])
        return answer

    def _last_words(self) -> str:
        if self._closed or self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()[-_LOG_TAIL:].strip()
