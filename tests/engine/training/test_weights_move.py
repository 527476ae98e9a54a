"""Training moves the weights it trains: each method, over each kind of adapter, at the rate a recipe has unsaid.

As on a GPU: `dtype: auto` loads bfloat16, and the layers compute in it under autocast. Weights that are held in
bfloat16 stay where they are, since an update at these rates is smaller than half a step of that type.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods import METHODS
from tests.helpers.method_runs import WORDS, chat_rows, pair_rows, sit, write_rows
from tests.helpers.tiny import make_tiny_model

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"adapter": {"kind": "lora", "r": 4}},
    "dora": {"adapter": {"kind": "dora", "r": 4}},
    "bottleneck": {"adapter": {"kind": "bottleneck", "r": 4}},
    "qlora": {"adapter": {"kind": "lora", "r": 4}, "model": {"quantization": "nf4"}},
    "full": {"adapter": None},
}
STEPS = 4
# More than are left at rest by chance: gradients that vanish in bfloat16's range do.
LEAST_MOVED = 0.9
LETTERS = """def reward(completions, references):
    return [sum(letter.isascii() and letter.isalnum() for letter in text) / 8 for text in completions]
"""
# In the quick tests, every kind and every method once.
QUICK = [("sft", kind) for kind in KINDS] + [
    (method, "lora" if number % 2 else "full") for number, method in enumerate(METHODS) if method != "sft"
]
CASES = [
    pytest.param(method, kind, marks=() if (method, kind) in QUICK else pytest.mark.accept)
    for method in METHODS
    for kind in KINDS
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    # As wide as one block of 4-bit weights.
    names = ("student", "teacher")
    return {name: make_tiny_model(root / name, hidden_size=64, seed=seed) for seed, name in enumerate(names)}


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_nine_in_ten_trained_weights_move_in_four_steps(
    method: str, kind: str, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(method, kind, models)
    moved, trained = moved_weights(recipe, folder_for(method, tmp_path), monkeypatch)
    assert trained > 500
    assert moved > LEAST_MOVED * trained, f"{moved} of {trained}"


def test_weights_held_in_bfloat16_by_name_hardly_move(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the count would find: the same run in bfloat16 alone."""
    recipe = recipe_of("sft", "full", models)
    named = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dtype": "bfloat16"})})
    moved, trained = moved_weights(named, folder_for("sft", tmp_path), monkeypatch)
    assert moved < 0.5 * trained


@pytest.mark.parametrize("kind", ["lora", "dora", "bottleneck"])
def test_an_adapter_moves_over_a_base_of_bfloat16_asked_for_by_name(
    kind: str, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("sft", kind, models)
    named = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dtype": "bfloat16"})})
    moved, trained = moved_weights(named, folder_for("sft", tmp_path), monkeypatch)
    assert moved > LEAST_MOVED * trained


def moved_weights(recipe: Recipe, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(weights that lie elsewhere after the run, weights that had a gradient in it)."""
    with as_on_a_gpu(monkeypatch), watched(monkeypatch) as seen:
        sit(recipe, folder)
    moved = trained = 0
    for parameter, before, reached in seen:
        trained += int(reached.sum())
        moved += int(((parameter.detach() != before) & reached).sum())
    return moved, trained


@contextmanager
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`auto` is bfloat16, and layers compute in it: as models/load.py and arguments.py do it on CUDA."""
    import torch

    from rung.engine.training.methods import method_module

    def resolved(settings: Any, _device: str) -> Any:
        return torch.bfloat16 if settings.dtype == "auto" else getattr(torch, settings.dtype)

    def autocast(job: Any) -> bool:
        return bool(job.recipe.model.dtype in ("auto", "bfloat16"))

    with monkeypatch.context() as patch:
        patch.setattr("rung.engine.models.load.resolve_dtype", resolved)
        patch.setattr("rung.engine.training.footprint.resolve_dtype", resolved)
        patch.setattr("rung.engine.training.train.default_precision", autocast)
        for method in METHODS:
            for module in (method_module(method), *shared_modules()):
                if hasattr(module, "default_precision"):
                    patch.setattr(module, "default_precision", autocast)
        yield


def shared_modules() -> list[Any]:
    from rung.engine.training.methods import answering, sft

    return [answering, sft]


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any, Any]]]:
    """(weight, its values before training, where it had a gradient) of each that the run trains."""
    import torch

    from rung.engine.training import train

    hold = train.hold_trained_in_float32
    seen: list[tuple[Any, Any, Any]] = []

    def hold_and_watch(model: Any, recipe: Recipe, autocast: bool) -> None:
        hold(model, recipe, autocast)
        for parameter in model.parameters():
            if parameter.requires_grad:
                reached = torch.zeros_like(parameter, dtype=torch.bool)
                parameter.register_hook(partial(mark, reached))
                seen.append((parameter, parameter.detach().clone(), reached))

    def mark(reached: Any, gradient: Any) -> None:
        reached.logical_or_(gradient != 0)

    with monkeypatch.context() as patch:
        patch.setattr(train, "hold_trained_in_float32", hold_and_watch)
        yield seen


def recipe_of(method: str, kind: str, models: dict[str, Path]) -> Recipe:
    """A short run at the method's own rate: the recipe doesn't say one."""
    answering = {"num_generations": 4, "max_completion_length": 8, "rewards": [{"name": "python", "file": "mine.py"}]}
    blocks: dict[str, Any] = {
        "grpo": answering,
        "rloo": answering,
        "distill": {
            "mode": "logits",
            "teacher": {"model": {"name": str(models["teacher"])}},
            "max_completion_length": 8,
        },
        "constitution": {"principles": "principles.txt", "review": False},
    }
    kinds = KINDS[kind]
    value = {
        "method": method,
        "model": {"name": str(models["student"]), **kinds.get("model", {})},
        "adapter": kinds["adapter"],
        "data": {"train": "data/train.jsonl", "max_length": 128},
        "training": {"max_steps": STEPS, "per_device_train_batch_size": 8, "lr_scheduler_type": "constant",
                     "warmup_ratio": 0.0},
        "samples": {"prompts": ["Hm?"], "max_new_tokens": 2},
        "probe": {"source": None},
        method: blocks.get(method, {}),
    }  # fmt: skip
    return build_recipe(value, "the test's recipe")


def folder_for(method: str, root: Path) -> RunFolder:
    """A run folder in a project with rows for that method; AI feedback has made its pairs already."""
    labelled = [
        {"prompt": f"Colour {n}?", "completion": WORDS[n % 8] if n % 2 else WORDS[n % 8].upper(), "label": bool(n % 2)}
        for n in range(32)
    ]
    text = [{"text": " ".join(WORDS) + f" {n}"} for n in range(32)]
    rows = {"dpo": pair_rows(), "orpo": pair_rows(), "reward": pair_rows(), "kto": labelled, "cpt": text}
    write_rows(root, rows.get(method, chat_rows()))
    (root / "mine.py").write_text(LETTERS)
    (root / "principles.txt").write_text("Be short.\n")
    folder = new_run_folder(root, method)
    if method == "constitution":
        from rung.engine.training.methods.pair_making import FOLDER, PAIRS, SUMMARY

        (folder.path / FOLDER).mkdir()
        (folder.path / PAIRS).write_text("".join(json.dumps(row) + "\n" for row in pair_rows()))
        summary = {"metrics": {}, "pairs": 40, "prompts": 40, "dropped": [], "judge": None, "checked": ""}
        (folder.path / FOLDER / SUMMARY).write_text(json.dumps(summary))
    return folder
