"""Questions about the project's documents, answered by a worker: the screens never load the index themselves."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.stack import require_stack

Tell = Callable[[dict[str, Any]], object]


def ask_documents(
    root: Path, question: str, k: int | None = None, python: str | None = None, tell: Tell = lambda _: None
) -> dict[str, Any]:
    """{"hits": [{"source", "title", "text", "score"}], "chunks", "files", "seconds"}, the best chunk first.

    Brings the index up to date first, so that the first question after a change takes longer; `tell` gets what that
    tells as events: phases, an embedding model's download among them, and warnings. Raises EngineError.
    """
    return _ask_worker({"root": str(root), "question": question, "k": k}, python, tell)


def measure_alone(
    root: Path, settings: dict[str, Any] | None = None, python: str | None = None, tell: Tell = lambda _: None
) -> dict[str, Any]:
    """How well retrieval does by itself on the validation rows: `RetrievalQuality.to_json` and what was searched.

    `settings` are those of retrieval where they are not rung.yaml's. The index is brought up to date first, as for a
    question. Raises EngineError.
    """
    return _ask_worker({"root": str(root), "measure": True, "settings": settings}, python, tell)


def _ask_worker(asked: dict[str, Any], python: str | None, tell: Tell) -> dict[str, Any]:
    require_stack("retrieve", python, Path(asked["root"]))
    answer: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            worker_command("retrieve", python=python),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=worker_environment(),
        ) as worker,
    ):  # fmt: skip
        assert worker.stdin is not None and worker.stdout is not None
        with suppress(BrokenPipeError):  # What ended at once is told below.
            worker.stdin.write(json.dumps(asked))
            worker.stdin.close()
        for line in worker.stdout:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:  # The last line of a worker that was killed.
                break
            if "type" in said:
                tell(said)
            else:
                answer = said
        if not answer:
            log.seek(0)
            raise EngineError("The search broke off", log.read()[-2000:], "rung doctor checks the set-up")
    if "error" in answer:
        raise EngineError(**answer["error"])
    return answer
