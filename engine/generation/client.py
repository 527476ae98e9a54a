"""Interactive answers: a generation worker that keeps a model loaded and streams over its pipes.

The process that uses this never imports torch. The worker ends when its stdin closes, so it can't outlive its user.
"""

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.stack import require_stack

Message = dict[str, Any]
LOG_TAIL_BYTES = 2000
CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen. Temperature 0 takes the likeliest; nothing else of the model's own is applied."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Lineup:
    """Who is compared: one base model (the fields of a recipe's `model` block) and what was trained on it, by label."""

    model: Mapping[str, Any]
    root: Path
    adapters: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """All candidates, the base first."""
        return ["base", *self.adapters]


class GenerationClient:
    """A generation worker and the messages to and from it.

    `on_message` is called from a thread of the client's own, once for each message; a dead worker is one of type
    `error` with `worker_ended` and the end of its log. Requests give the id that their answers carry.
    """

    def __init__(self, python: str | None, log: Path, on_message: Callable[[Message], None]) -> None:
        self._python, self._log, self._on_message = python, log, on_message
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._write_lock = threading.Lock()
        self._last_id = 0
        self._closing = False

    @property
    def alive(self) -> bool:
        """Whether the worker process is there."""
        return self._process is not None and self._process.poll() is None

    def load(self, lineup: Lineup, *, device: str | None = None, idle_minutes: float | None = None) -> int:
        """Load a base and its candidates, starting the worker when there is none; answered by `ready`.

        While the base comes from the hub, `phase` messages tell how far it is, with the fields of that event.
        """
        return self._request(
            "load",
            model=dict(lineup.model),
            root=str(lineup.root),
            adapters=dict(lineup.adapters),
            device=device,
            idle_minutes=idle_minutes,
        )

    def generate(self, candidates: Sequence[str], messages: Sequence[Message], decoding: Decoding) -> int:
        """Answer one prompt by several candidates; answered by `token`s and one `done` for each candidate."""
        return self._request(
            "generate", candidates=list(candidates), messages=list(messages), decoding=asdict(decoding)
        )

    def cancel(self, request: int) -> None:
        """End a `generate` within a token; its candidates are `done` with the stop reason `cancelled`."""
        self._send({"type": "cancel", "id": request})

    def unload(self) -> int:
        """Give the model's memory back and keep the worker."""
        return self._request("unload")

    def close(self, wait: bool = True) -> None:
        """End the worker. With `wait` it is gone afterwards; without, it ends by itself within a few seconds."""
        self._closing = True
        process = self._process
        if process is None or process.stdin is None:
            return
        with self._write_lock:
            process.stdin.close()
        if not wait:
            return
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()

    def _request(self, kind: str, **fields: Any) -> int:
        if not self.alive:
            self._start()
        self._last_id += 1
        self._send({"type": kind, "id": self._last_id} | fields)
        return self._last_id

    def _start(self) -> None:
        require_stack("generate", self._python)
        with _opened(self._log) as log:
            try:
                self._process = subprocess.Popen(
                    worker_command("generate", python=self._python),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=worker_environment(),
                    # Ctrl-C in the terminal is for the screens; the worker ends when its stdin closes.
                    start_new_session=True,
                )
            except OSError as error:
                raise EngineError(
                    f"The generation worker can't be started with {self._python}",
                    str(error),
                    "set worker_python to a Python interpreter",
                ) from error
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _send(self, message: Message) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        line = json.dumps(message, ensure_ascii=False) + "\n"
        try:
            with self._write_lock:
                process.stdin.write(line.encode())
                process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # Dead, or closed just now: the reading thread says so, with the reason.
            return

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._on_message(json.loads(line))
        code = process.wait()
        if not self._closing:
            self._on_message(
                {
                    "type": "error",
                    "id": None,
                    "worker_ended": True,
                    "message": f"The generation worker ended ({_how_it_ended(code)})",
                    "details": _tail(self._log),
                    "hint": f"its log: {self._log}",
                }
            )


def compare_once(
    lineup: Lineup,
    prompts: Sequence[Sequence[Message]],
    decoding: Decoding,
    log: Path,
    python: str | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> list[dict[str, Any]]:
    """Answer prompts (message lists) by every candidate: a row each, prompt by prompt, as `rung compare --json` prints.

    Loads, answers and ends the worker. `on_message` sees every message on its way. Raises EngineError for whatever the
    worker reports as an error, a base that is not the plain base among them.
    """
    inbox: queue.Queue[Message] = queue.Queue()
    client = GenerationClient(python, log, inbox.put)
    seen = on_message or (lambda message: None)
    rows: list[dict[str, Any]] = []
    try:
        client.load(lineup)
        _wait_for(inbox, "ready", 1, seen)
        for messages in prompts:
            client.generate(lineup.labels, messages, decoding)
            answers = {str(done["candidate"]): done for done in _wait_for(inbox, "done", len(lineup.labels), seen)}
            if answers[lineup.labels[0]].get("base_matches_plain") is False:
                _wait_for(inbox, "error", 1, seen)  # It follows the answers, and says how far off the base is.
            rows += [_row(answers[label], messages) for label in lineup.labels]
    finally:
        client.close()
    return rows


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError as error:
        raise EngineError(
            "The generation worker has no place for its log", f"{log}: {error.strerror}", "free space, or allow writing"
        ) from error


def _wait_for(inbox: "queue.Queue[Message]", kind: str, count: int, seen: Callable[[Message], None]) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        message = inbox.get()
        seen(message)
        if message["type"] == "error":
            raise EngineError(message["message"], message.get("details", ""), message.get("hint", ""))
        if message["type"] == kind:
            found.append(message)
    return found


def _row(done: Message, messages: Sequence[Message]) -> dict[str, Any]:
    return {
        "candidate": done["candidate"],
        "prompt": str(messages[-1].get("content", "")),
        "answer": done["text"],
        "tokens": done["tokens"],
        "seconds": done["seconds"],
        "stop_reason": done["stop_reason"],
        "fingerprint": done["fingerprint"],
    }


def _how_it_ended(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""
