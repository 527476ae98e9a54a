"""The generation worker: loads a base and its adapters, streams answers over its pipes, ends when its stdin closes.

JSON lines in: load, generate, cancel, unload. Out: phase, ready, token, done, warning, unloaded, error. Every request
carries an id, and so do its answers. Imports torch once the first `load` comes.
"""

import json
import os
import queue
import threading
from collections.abc import Iterable
from typing import IO, Any

from rung.engine.generation.session import GenerationSession

Message = dict[str, Any]
EXIT_GRACE_SECONDS = 5.0


def main() -> int:
    """Serve this process's own stdin and stdout; whatever a library prints goes to stderr, which is the log."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    serve(requests, replies)
    # Nothing is left to save, and taking the training stack down in order costs seconds that hold the memory.
    os._exit(0)


def serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Answer requests until `stdin` ends."""
    inbox = Inbox(stdin)
    session = GenerationSession(lambda message: _write(stdout, message), inbox.is_cancelled)
    while True:
        try:
            request = inbox.next(session.seconds_to_idle())
        except queue.Empty:
            session.unload_idle()
            continue
        if request is None:
            break
        session.handle(request)
    inbox.finished.set()


class Inbox:
    """Requests in their order, read by a thread of its own, so that a cancel overtakes what goes on."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self.finished = threading.Event()
        self._requests: queue.Queue[Message | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def next(self, timeout: float | None) -> Message | None:
        """The next request; None at the end of input. Raises queue.Empty after `timeout` seconds."""
        return self._requests.get(timeout=timeout)

    def is_cancelled(self, request: int) -> bool:
        """Whether somebody cancelled that request, or nobody is there any more."""
        return self._ended or request in self._cancelled

    def _read(self, stream: Iterable[bytes]) -> None:
        for line in stream:
            try:
                request = json.loads(line)
            except ValueError:
                request = {"type": "unreadable", "id": None, "line": line[:200].decode(errors="replace")}
            if request.get("type") == "cancel":
                self._cancelled.add(request.get("id"))
            else:
                self._requests.put(request)
        self._ended = True
        self._requests.put(None)
        if not self.finished.wait(EXIT_GRACE_SECONDS):
            # In the middle of loading: nobody waits for it any more, and the memory is wanted back.
            os._exit(0)


def _write(stream: IO[bytes], message: Message) -> None:
    try:
        stream.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        stream.flush()
    except BrokenPipeError:
        # Nobody reads any more; the end of stdin, which comes with it, ends the worker.
        return
