"""One question to the project's documents, answered by a worker: the screens never load the index themselves."""

import json
import subprocess
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.program import worker_command, worker_environment


def ask_documents(root: Path, question: str, k: int | None = None, python: str | None = None) -> dict[str, Any]:
    """{"hits": [{"source", "title", "text", "score"}], "chunks", "files", "seconds"}, the best chunk first.

    Brings the index up to date first, so that the first question after a change takes longer. Raises EngineError.
    """
    done = subprocess.run(
        worker_command("retrieve", python=python),
        input=json.dumps({"root": str(root), "question": question, "k": k}),
        capture_output=True,
        text=True,
        env=worker_environment(),
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise EngineError("The search broke off", done.stderr[-2000:], "rung doctor checks the set-up") from None
    if "error" in answer:
        raise EngineError(**answer["error"])
    return answer
