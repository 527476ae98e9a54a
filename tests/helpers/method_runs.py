"""Runs of every method on a tiny model in this process: rows, recipes, one sitting, and what its events say."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.events import Event, Step
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import RunReader
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe

WORDS = ("red", "green", "blue", "black", "white", "brown", "pink", "grey")


def write_rows(root: Path, rows: Sequence[dict[str, Any]], name: str = "train") -> Path:
    """Write `root/data/NAME.jsonl` and give the root."""
    path = root / "data" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def pair_rows(count: int = 40) -> list[dict[str, Any]]:
    """Pairs in which lower case is preferred to upper case."""
    return [
        {"prompt": f"Colour {n}?", "chosen": WORDS[n % 8], "rejected": WORDS[(n + 3) % 8].upper()} for n in range(count)
    ]


def chat_rows(count: int = 32) -> list[dict[str, Any]]:
    """Questions with one-word answers."""
    return [{"prompt": f"Colour {n}?", "completion": WORDS[n % 8]} for n in range(count)]


def make_recipe(method: str, model: Path | str, /, **changes: Any) -> Recipe:
    """A small recipe; `changes` are merged into its blocks."""
    value: dict[str, Any] = {
        "method": method,
        "model": {"name": str(model)},
        "adapter": {"r": 8, "lora_alpha": 16},
        "data": {"train": "data/train.jsonl", "max_length": 128},
        "training": {
            "learning_rate": 1e-2,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "eval_steps": 6,
            "lr_scheduler_type": "constant",
            "warmup_ratio": 0.0,
        },
        "samples": {"max_new_tokens": 4},
        "probe": {"source": None},
    }
    for name, change in changes.items():
        merge = isinstance(value.get(name), dict) and isinstance(change, dict)
        value[name] = {**value[name], **change} if merge else change
    return build_recipe(value, "the test's recipe")


def sit(recipe: Recipe, folder: RunFolder, stop_at: int | None = None) -> None:
    """One sitting in this process; with `stop_at`, somebody asks to stop while that step is taken."""
    from rung.engine.core.files import write_text_atomic
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.recipe.load import dump_recipe
    from rung.engine.training.train import train

    class StoppingReporter(Reporter):
        def write(self, event: Event) -> None:
            super().write(event)
            if isinstance(event, Step) and event.step + 1 == stop_at:
                (folder.requests / "stop").write_text('{"who": "the test"}')

    write_text_atomic(folder.recipe, dump_recipe(recipe))
    reporter = StoppingReporter(folder.events)
    try:
        train(recipe, folder, folder.path.parents[1], reporter)
    finally:
        reporter.close()


def curve(folder: RunFolder, name: str) -> list[tuple[float, float]]:
    """(step, value) of one curve of the run."""
    found = RunReader(folder).catch_up().curve(name)
    return list(zip(found.steps, found.values, strict=True))


def values(folder: RunFolder, name: str) -> list[float]:
    """The values of one curve of the run."""
    return [value for _, value in curve(folder, name)]


def last_evaluation(folder: RunFolder) -> dict[str, float]:
    """Figures of the run's last evaluation."""
    found = [event for event in read_json_lines(folder.events) if event["type"] == "evaluation"]
    metrics: dict[str, float] = found[-1]["metrics"]
    return metrics


def warnings_of(folder: RunFolder) -> list[str]:
    """The run's warnings, message and details."""
    events = read_json_lines(folder.events)
    return [f"{event['message']}: {event['details']}" for event in events if event["type"] == "warning"]
