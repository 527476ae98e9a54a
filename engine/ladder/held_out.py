"""The held-out rows: the frozen ones and no others, never in the training rows, and every look at them counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.data.read import read_rows
from engine.errors import EngineError
from engine.events import Event, Warned
from engine.files import read_json, sha256_file, write_json_atomic
from engine.ladder.examples import EvaluationExample, load_split, read_examples
from engine.measure.splits import (
    Leak,
    find_leaks,
    freeze_files,
    is_frozen,
    looks_at_test,
    open_final,
    read_splits,
    verify_frozen,
)
from engine.project.schema import ProjectSettings

_MOST_SHOWN = 5


def held_out_examples(root: Path, project: ProjectSettings, report: Callable[[Event], None]) -> list[EvaluationExample]:
    """The held-out examples, once they are known to be fit for a scoreboard.

    Splits that were never frozen are frozen now. Raises EngineError where the rows have changed since, or stand in the
    training rows too (which `overrides: [leaks]` lets pass, with a warning).
    """
    examples = load_split(root, project, "test").examples
    files = {name: getattr(project.data, name) for name in ("train", "validation", "test")}
    if not is_frozen(root):
        freeze_files(root, {name: file for name, file in files.items() if file is not None})
    verify_frozen(root, project.data.test)
    if project.data.train is not None and project.data.test is not None:
        _refuse_leaks(root, project, project.data.train, project.data.test, report)
    return examples


def sealed_examples(root: Path, project: ProjectSettings) -> list[EvaluationExample]:
    """The examples of the sealed final split; the seal is broken by this. Raises EngineError where there is none."""
    return read_examples(open_final(root), project.data).examples


def held_out_facts(root: Path) -> dict[str, Any]:
    """What a scoreboard says of its held-out rows: how many candidates were scored on them, and which rows they are."""
    if not is_frozen(root):
        return {}
    record = read_splits(root)
    return {
        "looks": looks_at_test(root),
        "generation": record.generation,
        "content": record.splits["test"].content[:12],
    }


def _refuse_leaks(root: Path, project: ProjectSettings, train: str, test: str, report: Callable[[Event], None]) -> None:
    leaks = _leaks(root, train, test)
    if not leaks:
        return
    shown = "\n".join(
        f"{test} row {leak['test_row']} and {train} row {leak['train_row']} ({leak['kind']}): {leak['text']}"
        for leak in leaks[:_MOST_SHOWN]
    )
    message = f"{len(leaks)} held-out rows stand in the training rows too"
    if "leaks" in project.overrides:
        report(Warned(f"Overridden: {message}", shown))
        return
    raise EngineError(
        message, shown, "take them out of the training rows; or let it pass: overrides: [leaks] in rung.yaml"
    )


def _leaks(root: Path, train: str, test: str) -> list[dict[str, Any]]:
    """The leaks between two files; searched once for each content of both."""
    key = f"{sha256_file(root / train)} {sha256_file(root / test)}" if (root / train).is_file() else ""
    memory = root / "evaluations" / "leaks.json"
    if key and memory.exists():
        kept = read_json(memory)
        if kept.get("key") == key:
            found: list[dict[str, Any]] = kept["leaks"]
            return found
    rows = [[row.fields for row in read_rows(root / file)[0]] for file in (train, test)]
    leaks = [_as_json(leak) for leak in find_leaks(*rows)]
    write_json_atomic(memory, {"key": key, "leaks": leaks})
    return leaks


def _as_json(leak: Leak) -> dict[str, Any]:
    return {"test_row": leak.test_row, "train_row": leak.train_row, "kind": leak.kind, "text": leak.text}
