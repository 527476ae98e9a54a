"""Methods that go on from one another, and the reference of a preference or reward run: its start, frozen."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reporter import Reporter
from rung.engine.training.job import Job
from rung.engine.training.methods import method_module
from rung.engine.training.prepare import gather
from tests.helpers.method_runs import chat_rows, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.tiny import make_tiny_model

TEXT = "The tall ship left the grey harbour at dawn. " * 12
ADAPTER: dict[str, Any] = {"r": 8, "lora_dropout": 0.0}
REWARDS = [{"name": "length", "most": 2, "unit": "characters"}]
ANSWERING = {"num_generations": 2, "max_completion_length": 4, "beta": 0.1, "rewards": REWARDS}
BLOCKS: dict[str, dict[str, Any]] = {"dpo": {}, "kto": {}, "grpo": ANSWERING, "rloo": ANSWERING}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def short(adapter: dict[str, Any] | None) -> dict[str, Any]:
    return {"max_steps": 2, "eval_steps": 2, "learning_rate": 1e-2 if adapter else 1e-3}


@pytest.mark.parametrize("adapter", [ADAPTER, None], ids=["adapter", "full"])
def test_methods_chain(model_folder: Path, tmp_path: Path, adapter: dict[str, Any] | None) -> None:
    """Continued pretraining, answers, preferences, rewards: one adapter, or the whole model, handed on each time."""
    start, runs = None, {}
    for method, rows in (("cpt", [{"text": TEXT}] * 3), ("sft", chat_rows(12)), ("dpo", pair_rows(12)), ("grpo", [])):
        if rows:
            write_rows(tmp_path, rows)
        folder = runs[method] = new_run_folder(tmp_path, method)
        block = {method: BLOCKS.get(method, {})}
        sit(
            make_recipe(method, model_folder, adapter=adapter, start_from=start, training=short(adapter), **block),
            folder,
        )
        start = f"run:{folder.id}"
    assert values(runs["dpo"], "rewards/margins")[0] == 0.0
    assert values(runs["dpo"], "loss")[0] == pytest.approx(math.log(2), abs=1e-3)
    assert values(runs["grpo"], "kl")[0] == pytest.approx(0.0, abs=1e-5), "the reference is the DPO run"
    weights = [saved_weights(run) for run in runs.values()]
    assert all(earlier.keys() == later.keys() for earlier, later in zip(weights, weights[1:], strict=False))
    assert all(differ(earlier, later) for earlier, later in zip(weights, weights[1:], strict=False))


def saved_weights(run: RunFolder) -> dict[str, Any]:
    from safetensors.torch import load_file

    artifact = run.artifact()
    assert artifact is not None
    return load_file(next(artifact.glob("*.safetensors")))


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(not one[name].equal(other[name]) for name in one)


@contextmanager
def job_of(recipe: Any, root: Path) -> Iterator[Job]:
    folder = new_run_folder(root, recipe.method)
    reporter = Reporter(folder.events)
    try:
        yield gather(recipe, folder, root, reporter)
    finally:
        reporter.close()


def adapter_weights(model: Any, name: str) -> dict[str, Any]:
    """The tensors of one adapter of a model, under the names they are saved by."""
    return {
        key.replace(f".{name}.", "."): value.detach().clone()
        for key, value in model.named_parameters()
        if f".{name}." in key
    }


@pytest.mark.parametrize("method", BLOCKS)
def test_the_reference_is_a_frozen_copy_of_the_adapter_it_started_from(
    method: str, model_folder: Path, tmp_path: Path
) -> None:
    write_rows(tmp_path, chat_rows(12))
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, adapter=ADAPTER, training=short(ADAPTER)), first)
    start = saved_weights(first)
    write_rows(tmp_path, pair_rows(12))
    changes = {"adapter": ADAPTER, "training": short(ADAPTER), method: BLOCKS[method]}
    with job_of(make_recipe(method, model_folder, start_from=f"run:{first.id}", **changes), tmp_path) as job:
        trainer = method_module(method).build_trainer(job)
        model = trainer.model
        assert set(model.peft_config) == {"default", "ref"}
        for name in ("default", "ref"):
            weights = adapter_weights(model, name)
            assert weights.keys() == start.keys() and not differ(weights, start), name
        trainer.train()
        assert not differ(adapter_weights(model, "ref"), start), "the reference has moved"
        assert differ(adapter_weights(model, "default"), start), "nothing was trained"
        assert not any(value.requires_grad for key, value in model.named_parameters() if ".ref." in key)
    with job_of(make_recipe(method, model_folder, **changes), tmp_path) as job:
        trainer = method_module(method).build_trainer(job)
        assert set(trainer.model.peft_config) == {"default"}, "a fresh adapter's reference is the base without it"


@pytest.mark.parametrize("method", BLOCKS)
def test_the_reference_of_a_full_run_is_a_frozen_copy_of_the_model_it_started_from(
    method: str, model_folder: Path, tmp_path: Path
) -> None:
    """Here the start is an adapter's run that is merged, so that no model folder holds the reference."""
    write_rows(tmp_path, chat_rows(12))
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, adapter=ADAPTER, training=short(ADAPTER)), first)
    write_rows(tmp_path, pair_rows(12))
    changes = {"adapter": None, "training": short(None), method: BLOCKS[method]}
    with job_of(make_recipe(method, model_folder, start_from=f"run:{first.id}", **changes), tmp_path) as job:
        start = {name: value.detach().clone() for name, value in job.model.state_dict().items()}
        trainer = method_module(method).build_trainer(job)
        reference = trainer.accelerator.unwrap_model(trainer.ref_model)
        assert not differ(start, reference.state_dict())
        trainer.train()
        assert not differ(start, reference.state_dict()), "the reference has moved"
        assert differ(start, trainer.accelerator.unwrap_model(trainer.model).state_dict()), "nothing was trained"
