"""A reward function of the user's own, run in a process that can be ended when it hangs."""

import json
import math
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.training.rewards.batch import RewardBatch

START_SECONDS = 120.0
_CHILD = Path(__file__).with_name("child.py")
_HINT = "it takes any of prompts, completions, references, rows (lists of one length) and returns a list of numbers"


class PythonReward:
    """The function `name` of a file. Raises EngineError that names it when it raises, hangs or returns nonsense."""

    def __init__(self, file: Path, name: str, timeout: float) -> None:
        if not file.is_file():
            raise EngineError(
                f"The reward's file {file} does not exist", hint="write rewards: [{name: python, file: …}]"
            )
        self._where = f"{file.name}:{name}"
        self._timeout = timeout
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), str(file.resolve()), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONUTF8": "1"},
        )
        self._unread = b""
        answer = self._answer(START_SECONDS, "its file did not finish loading")
        if "error" in answer:
            self.close()
            raise EngineError(f"The reward function {self._where} can't be loaded", answer["error"], _HINT)

    def score(self, batch: RewardBatch) -> list[float | None]:
        """One number for each answer; None where the function gives none."""
        asked = {
            "prompts": [list(prompt) for prompt in batch.prompts],
            "completions": list(batch.completions),
            "references": list(batch.references),
            "rows": list(batch.rows),
        }
        self._send(json.dumps(asked, default=str).encode() + b"\n")
        answer = self._answer(self._timeout, "it did not return")
        if "error" in answer:
            raise EngineError(f"The reward function {self._where} raised an error", answer["error"], _HINT)
        return self._checked(answer["scores"], len(batch.completions))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _checked(self, scores: Any, count: int) -> list[float | None]:
        if isinstance(scores, dict):
            raise EngineError(f"The reward function {self._where} returned no list", f"a {scores['not a list']}", _HINT)
        if len(scores) != count:
            raise EngineError(
                f"The reward function {self._where} returned {len(scores)} rewards for {count} answers", hint=_HINT
            )
        for number, score in enumerate(scores):
            if isinstance(score, dict):
                said = score["not a number"]
                raise EngineError(
                    f"The reward function {self._where} returned no number", f"for answer {number}: {said}", _HINT
                )
            if score is not None and not math.isfinite(score):
                raise EngineError(
                    f"The reward function {self._where} returned {score}",
                    f"for answer {number}",
                    "return a finite number, or None where there is no reward",
                )
        return [None if score is None else float(score) for score in scores]

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self, seconds: float, silence: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise EngineError(
                    f"The reward function {self._where} hangs",
                    f"{silence} within {seconds:g} s",
                    "make it faster, or raise its timeout",
                )
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                raise self._ended()
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> EngineError:
        code = self._process.wait()
        return EngineError(
            f"The reward function {self._where} ended its process",
            f"exit code {code}",
            "worker.log has what it printed",
        )
