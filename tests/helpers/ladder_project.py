"""Small projects for the ladder's tests: a tiny model, questions with answers, and documents that hold them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rung.engine.jobs.events import Event
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.jobs import run_climb
from rung.engine.project.load import load_project, save_project
from rung.engine.project.schema import ProjectSettings
from tests.helpers.tiny import make_tiny_model

COLOURS = ["red", "green", "blue", "black", "white", "brown", "pink", "grey"]


def make_model(folder: Path) -> Path:
    """A tiny model, or the one that is there already."""
    return folder if (folder / "config.json").exists() else make_tiny_model(folder, context=512)


def rows(start: int, count: int) -> list[dict[str, Any]]:
    """Rows with questions of their own, each about another thing."""
    return [
        {
            "question": f"Which colour has the {_word(number)} number {number}?",
            "answer": COLOURS[number % len(COLOURS)],
            "document": f"thing-{number}.md",
        }
        for number in range(start, start + count)
    ]


def write_rows(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def make_project(
    root: Path, model: Path, *, counts: tuple[int, int, int] = (12, 6, 8), **changes: Any
) -> ProjectSettings:
    """A project in `root` with (training, validation, held-out) rows; `changes` are fields of rung.yaml."""
    train, validation, test = counts
    parts = {
        "train": rows(0, train), "validation": rows(train, validation), "test": rows(train + validation, test),
    }  # fmt: skip
    for name, lines in parts.items():
        write_rows(root / "data" / f"{name}.jsonl", lines)
    for line in (line for lines in parts.values() for line in lines):
        file = root / "documents" / line["document"]
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"The {_word(int(file.stem.split('-')[1]))} is {line['answer']}.\n")
    value = {
        "name": "things",
        "model": {"name": str(model)},
        "data": {name: f"data/{name}.jsonl" for name in parts} | {"gold": "document"},
        "documents": {"path": "documents"},
        "metrics": ["contains"],
        "decoding": {"max_new_tokens": 6},
        "prompt_trials": {"k": [0, 2]},
        "retrieval_trials": {"chunk_sizes": [400], "k": [1]},
    } | changes
    save_project(root, ProjectSettings.model_validate(value))
    return load_project(root)


def climb(
    root: Path,
    *,
    rungs: tuple[str, ...] = ("prompt", "rag"),
    stop_early: bool = False,
    overrides: dict[str, Any] | None = None,
    events: list[Event] | None = None,
) -> dict[str, Any]:
    """One climb in this process; its result."""
    job = {"kind": "climb", "rungs": list(rungs), "stop_early": stop_early, "overrides": overrides or {}}
    seen = events if events is not None else []
    folder = RunFolder(root / "evaluations" / "climb")
    return run_climb(root, load_project(root), job, folder, seen.append, lambda: None)


def of_type(events: list[Event], kind: str) -> list[Any]:
    return [event for event in events if event.type == kind]


def _word(number: int) -> str:
    """A made-up word for a number, so that no two questions are alike."""
    syllables = ["ba", "ko", "lu", "me", "ni", "po", "ra", "so", "tu", "va"]
    return "".join(syllables[int(digit)] for digit in f"{number * 7919 % 100_000:05d}")
