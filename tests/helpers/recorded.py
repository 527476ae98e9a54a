"""Run folders and events files written by hand, for tests of what reads them."""

from collections.abc import Sequence
from pathlib import Path

from rung.engine.jobs.events import (
    CheckpointSaved,
    Evaluation,
    Event,
    Finished,
    Memory,
    Phase,
    Queued,
    Sample,
    Started,
    Step,
    to_json_line,
)
from rung.engine.jobs.folder import RunFolder

START_TIME = 1_700_000_000.0

FINISHED_RUN: tuple[Event, ...] = (
    Queued("cpu"),
    Started("host", 42, ["cpu"], 1),
    Phase("train", 0, 4, "steps"),
    Step(1, 0.5, 2.0, 1e-4, 0.9, 100, 50.0, 2.0, {"mean_token_accuracy": 0.25}),
    Step(2, 1.0, 1.5, 1e-4, 0.8, 200, 50.0, 2.0, {"mean_token_accuracy": 0.5}),
    Evaluation(2, "validation", {"loss": 1.4, "n": 8}),
    CheckpointSaved(2, "checkpoints/step-2", "schedule"),
    Memory([], 2**30, 150.0, 2**31, 2**33),
    Sample(2, "What is it?", "\x1b[31mred\x1b[0m", "blue", "blue"),
    Step(4, 2.0, float("nan"), 5e-5, 0.7, 400, 50.0, 2.0),
    Finished(4, {"loss": 1.0, "n": 8}, "adapter", "step 4, lowest validation loss"),
)


def write_events(path: Path, events: Sequence[Event]) -> Path:
    """An events file with one event a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [to_json_line(event, number, START_TIME + number) for number, event in enumerate(events)]
    path.write_text("".join(lines))
    return path


def write_run(root: Path, run: str, events: Sequence[Event], recipe: str = "method: sft\n") -> RunFolder:
    """A run folder below `root/runs` with those events; nobody holds its lock."""
    folder = RunFolder((root / "runs" / run).resolve())
    write_events(folder.events, events)
    folder.requests.mkdir()
    folder.recipe.write_text(recipe)
    return folder
