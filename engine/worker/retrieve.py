"""The worker behind a question to the documents: one JSON question on stdin; on stdout events, then one JSON answer."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.events import Event, to_json_line
from engine.project.load import load_project
from engine.runs.lock import try_lock
from engine.runs.slots import see_freest_gpu


def main() -> int:
    """Answer the question on stdin. What libraries print goes to stderr, so that stdout holds the answer alone."""
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)

    def tell(event: Event) -> None:
        print(to_json_line(event, 0, time.time()), end="", file=answer_stream, flush=True)

    try:
        see_freest_gpu()
        answer = _search(Path(asked["root"]), asked["question"], asked["k"], tell)
    except EngineError as error:
        answer = {"error": {"message": error.message, "details": error.details, "hint": error.hint}}
    json.dump(answer, answer_stream)
    answer_stream.close()
    return 0


def _search(root: Path, question: str, k: int | None, tell: Callable[[Event], None]) -> dict[str, Any]:
    from engine.ladder.indexes import Indexes

    project = load_project(root)
    if project.documents is None:
        raise EngineError("The project has no documents", "rung.yaml: documents is null", "name a folder of texts")
    # An evaluation builds the same indexes; one at a time may write them.
    path = root / "evaluations" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path)
    if lock is None:
        raise EngineError("An evaluation of this project is going on", hint="ask again once it has ended, or stop it")
    try:
        index = Indexes(root, project, tell).get(project.documents)
        started = time.perf_counter()
        hits = index.search(question, k)
        seconds = time.perf_counter() - started
    finally:
        lock.release()
    found = [
        {"source": hit.chunk.label, "title": hit.chunk.title, "text": hit.chunk.text, "score": float(hit.score)}
        for hit in hits
    ]
    return {"hits": found, "chunks": index.num_chunks, "files": index.num_files, "seconds": seconds}
