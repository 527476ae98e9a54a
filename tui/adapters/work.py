"""A merge, an export or a combination that goes on in a worker process, as the Adapters screen sees it."""

import threading
from collections.abc import Callable
from typing import Any

from textual.message import Message

from rung.engine.core.errors import EngineError
from rung.engine.results.exports import Errand, ErrandWorker


class ErrandSaid(Message):
    """What the worker is about."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        super().__init__()


class ErrandOver(Message):
    """The worker's answer, or what went wrong."""

    def __init__(self, result: dict[str, Any] | EngineError) -> None:
        self.result = result
        super().__init__()


class Work:
    """One errand at a time. Leaving the screens doesn't end it: its worker writes the whole folder, or none."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self.phase = ""
        self._post = post
        self._worker: ErrandWorker | None = None

    @property
    def busy(self) -> bool:
        """Whether a worker is at it."""
        return self._worker is not None

    @property
    def words(self) -> str:
        """`writing exports/…: merging …`, or nothing."""
        if self._worker is None:
            return ""
        target = self._worker.errand.target
        return f"writing {target.parent.name}/{target.name}: {self.phase} … (x cancels)"

    def begin(self, errand: Errand) -> None:
        """Start its worker, and a thread that listens to it; the thread ends with the program."""
        self._worker = worker = ErrandWorker(errand)
        self.phase = "starting the worker"
        threading.Thread(target=self._follow, args=(worker,), daemon=True).start()

    def cancel(self) -> None:
        """End the worker; blocks until it is gone."""
        if self._worker is not None:
            self._worker.cancel()

    def end(self) -> None:
        """The worker's last word was heard."""
        self._worker = None

    def _follow(self, worker: ErrandWorker) -> None:
        try:
            result: dict[str, Any] | EngineError = worker.run(lambda phase: self._tell(ErrandSaid(phase)))
        except EngineError as error:
            result = error
        self._tell(ErrandOver(result))

    def _tell(self, message: Message) -> None:
        try:
            self._post(message)
        except RuntimeError:
            # The app's loop is closed: nobody is left to hear it.
            return
