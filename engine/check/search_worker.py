"""The worker behind questions about the documents: one in JSON on stdin; on stdout events, then one JSON answer.

Either what is found for a question, or how well retrieval does by itself on the validation rows.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Phase, to_json_line
from rung.engine.jobs.lock import try_lock
from rung.engine.jobs.slots import see_freest_gpu
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectSettings

if TYPE_CHECKING:
    from rung.engine.retrieval.index import SearchIndex


def main() -> int:
    """Answer the question on stdin. What libraries print goes to stderr, so that stdout holds the answer alone."""
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)

    def tell(event: Event) -> None:
        print(to_json_line(event, 0, time.time()), end="", file=answer_stream, flush=True)

    try:
        see_freest_gpu()
        answer = _answer(asked, tell)
    except EngineError as error:
        answer = {"error": {"message": error.message, "details": error.details, "hint": error.hint}}
    json.dump(answer, answer_stream)
    answer_stream.close()
    return 0


def _answer(asked: dict[str, Any], tell: Callable[[Event], None]) -> dict[str, Any]:
    from rung.engine.ladder.indexes import Indexes
    from rung.engine.retrieval.settings import RetrievalSettings

    root = Path(asked["root"])
    project = load_project(root)
    given = asked.get("settings")
    settings = project.documents if given is None else RetrievalSettings.model_validate(given)
    if settings is None:
        raise EngineError("The project has no documents", "rung.yaml: documents is null", "name a folder of texts")
    # An evaluation builds the same indexes; one at a time may write them.
    path = root / "evaluations" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path)
    if lock is None:
        raise EngineError("An evaluation of this project is going on", hint="ask again once it has ended, or stop it")
    try:
        index = Indexes(root, project, tell).get(settings)
        found = _measure(root, project, index, tell) if asked.get("measure") else _search(index, asked)
    finally:
        lock.release()
    return found | {"chunks": index.num_chunks, "files": index.num_files}


def _search(index: "SearchIndex", asked: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    hits = index.search(asked["question"], asked["k"])
    seconds = time.perf_counter() - started
    found = [
        {"source": hit.chunk.label, "title": hit.chunk.title, "text": hit.chunk.text, "score": float(hit.score)}
        for hit in hits
    ]
    return {"hits": found, "seconds": seconds}


def _measure(
    root: Path, project: ProjectSettings, index: "SearchIndex", tell: Callable[[Event], None]
) -> dict[str, Any]:
    """Retrieval by itself on the validation rows: settings are chosen by them, never by the held-out rows."""
    from rung.engine.ladder.examples import load_split, sample
    from rung.engine.ladder.indexes import gold_question
    from rung.engine.retrieval.quality import measure_retrieval

    examples = sample(load_split(root, project, "validation").examples, project.budget.validation_rows)
    tell(Phase("evaluate", 0, len(examples), "questions"))
    quality = measure_retrieval(index, [gold_question(example, project, root) for example in examples])
    return quality.to_json() | {"split": "validation", "rows": len(examples)}
