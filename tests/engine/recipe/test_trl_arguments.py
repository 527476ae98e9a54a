"""Every argument of TRL's configurations is honoured or refused with a reason; none is taken and not done."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe, TrainingSettings
from rung.engine.recipe.trl_arguments import argument_names, config_of
from rung.engine.recipe.trl_honoured import DISTILL_LOGITS, HONOURED, REFUSED, SHARED_HONOURED
from rung.engine.training.job import Job, make_schedule
from rung.engine.training.methods.arguments import trl_arguments
from rung.engine.training.recovery import with_smaller_batch
from tests.helpers.method_runs import chat_rows, curve, make_recipe, sit, write_rows
from tests.helpers.tiny import make_tiny_model

CONFIGS = sorted(HONOURED)
OWN = set(TrainingSettings.model_fields)
# What a person might write, each another value than the default.
SAMPLES: dict[str, Any] = {
    "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6, "optim": "adafactor", "optim_args": "a=1",
    "lr_scheduler_kwargs": {"num_cycles": 2}, "per_device_eval_batch_size": 3, "neftune_noise_alpha": 5.0,
    "gradient_checkpointing_kwargs": {"use_reentrant": False}, "torch_empty_cache_steps": 7, "tf32": False,
    "full_determinism": True, "project": "p", "trackio_space_id": "a/b",
    "trackio_bucket_id": "a/c", "trackio_static_space_id": "a/d", "pad_to_multiple_of": 8, "router_aux_loss_coef": 0.3,
    "beta": 0.7, "precompute_ref_batch_size": 3, "precompute_ref_log_probs": True,
    "discopop_tau": 0.2, "f_alpha_divergence_coef": 0.4, "f_divergence_type": "js_divergence", "label_smoothing": 0.1,
    "ld_alpha": 0.5, "loss_weights": [2.0], "use_weighting": True, "cache_implementation": "static",
    "generation_kwargs": {"no_repeat_ngram_size": 3}, "max_completion_length": 33, "min_p": 0.1,
    "repetition_penalty": 1.2, "temperature": 0.7, "top_k": 9, "top_p": 0.9, "epsilon": 0.3, "epsilon_high": 0.4,
    "generation_batch_size": 16, "mask_truncated_completions": True, "num_generations": 4, "num_generations_eval": 2,
    "num_iterations": 3, "steps_per_generation": 2, "desirable_weight": 1.3, "undesirable_weight": 1.1,
    "center_rewards_coefficient": 0.01, "delta": 2.0, "entropy_coef": 0.01, "entropy_coef_delta": 0.02,
    "entropy_coef_max": 0.9, "entropy_coef_min": 0.001, "entropy_target": 0.3, "importance_sampling_level": "sequence",
    "multi_objective_aggregation": "normalize_then_sum", "off_policy_mask_threshold": 0.5, "sapo_temperature_neg": 1.2,
    "sapo_temperature_pos": 1.1, "scale_rewards": "batch", "top_entropy_quantile": 0.8, "use_adaptive_entropy": True,
    "use_bias_correction_kl": False, "vespo_k_neg": 1.5, "vespo_k_pos": 1.6, "vespo_lambda_neg": 1.7,
    "vespo_lambda_pos": 1.8, "normalize_advantages": True, "reward_clip_range": (-1.0, 1.0),
}  # fmt: skip
LOSSES = {"dpo": ["ipo"], "constitution": ["ipo"], "kto": "apo_zero_unpaired", "grpo": "bnpo"}


@pytest.mark.parametrize("config", CONFIGS)
def test_every_argument_is_honoured_or_refused_with_a_reason(config: str) -> None:
    """Fails with the names that a newer TRL or Transformers adds: see what becomes of them and put them in a table."""
    names = {item.name for item in dataclasses.fields(config_class(config))}
    honoured = OWN | SHARED_HONOURED | HONOURED[config]
    assert names - honoured - set(REFUSED) == set()
    assert (SHARED_HONOURED | HONOURED[config]) & OWN == set()
    assert argument_names(config) == names, "the source says what the class says"


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_honoured_reaches_the_trainer_as_it_is_written(config: str, tmp_path: Path) -> None:
    there = argument_names(config)
    default = trl_arguments(job_of(recipe_of(config), tmp_path), config_class(config))
    for name in sorted((SHARED_HONOURED | HONOURED[config]) & there):
        wanted = sample(config, name)
        block = "training" if name in SHARED_HONOURED else method_of_config(config)
        arguments = trl_arguments(job_of(recipe_of(config, {block: {name: wanted}}), tmp_path), config_class(config))
        assert getattr(arguments, name) == wanted, name
        assert getattr(default, name) != wanted, f"{name}: the sample is the default, which shows nothing"


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_refused_says_why_in_either_block(config: str) -> None:
    honoured = OWN | SHARED_HONOURED | HONOURED[config]
    for name in sorted(argument_names(config) - honoured):
        for block in ("training", method_of_config(config)):
            with pytest.raises(EngineError) as caught:
                recipe_of(config, {block: {name: "something"}})
            assert f"{block}.{name}: {REFUSED[name].reason}" in caught.value.details
            assert REFUSED[name].hint in caught.value.details


def test_packing_is_refused_with_its_reason_and_its_line() -> None:
    with pytest.raises(EngineError) as caught:
        recipe_of("sft", {"sft": {"packing": True, "padding_free": True}})
    assert "sft.packing: not built yet in Rung: rows are batched by length instead" in caught.value.details
    assert "sft.padding_free: not built yet" in caught.value.details
    assert recipe_of("sft", {"sft": {"packing": False}}).sft == {"packing": False}


def test_an_argument_that_is_in_no_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(REFUSED, "packing")
    with pytest.raises(EngineError, match="One fault") as caught:
        recipe_of("sft", {"sft": {"packing": True}})
    assert "an argument of TRL's that Rung doesn't know" in caught.value.details


def test_each_argument_has_one_place() -> None:
    """What Rung reads itself it reads there: the schedule takes num_generations from the method's block."""
    with pytest.raises(EngineError) as caught:
        recipe_of("grpo", {"training": {"num_generations": 4}, "grpo": {"learning_rate": 1e-6, "adam_beta1": 0.8}})
    told = caught.value.details
    assert "training.num_generations: stands in the other block; set grpo.num_generations" in told
    assert "grpo.learning_rate: stands in the other block; set training.learning_rate" in told
    assert "grpo.adam_beta1: stands in the other block; set training.adam_beta1" in told


def test_distillation_takes_the_arguments_of_its_mode() -> None:
    assert recipe_of(DISTILL_LOGITS, {"distill": {"max_completion_length": 9}})
    with pytest.raises(EngineError, match="One fault"):
        recipe_of("distill", {"distill": {"max_completion_length": 9}})


def test_without_trl_beside_it_the_tables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rung.engine.recipe.trl_arguments._installed", lambda _package: False)
    argument_names.cache_clear()
    try:
        assert recipe_of("sft", {"training": {"adam_beta1": 0.8}, "sft": {"loss_type": "dft"}})
        with pytest.raises(EngineError, match="2 faults") as caught:
            recipe_of("sft", {"sft": {"packing": True, "los_type": "dft"}})
        assert "not built yet" in caught.value.details and "did you mean loss_type?" in caught.value.details
    finally:
        argument_names.cache_clear()


def test_a_smaller_batch_is_one_of_evaluations_and_answers_too() -> None:
    training = {"per_device_train_batch_size": 8, "per_device_eval_batch_size": 32}
    smaller = with_smaller_batch(recipe_of("grpo", {"training": training, "grpo": {"steps_per_generation": 2}}))
    assert smaller is not None and smaller.training.per_device_train_batch_size == 4
    assert smaller.training.model_dump()["per_device_eval_batch_size"] == 4
    assert smaller.grpo["steps_per_generation"] == 4, "as many answers at once as before"


def test_arguments_of_the_loss_change_the_first_steps_loss(tmp_path: Path) -> None:
    """They go through TRL's own loss and reach it although rows, masks and collator are Rung's."""
    model = make_tiny_model(tmp_path / "tiny")
    write_rows(tmp_path, chat_rows(8))
    losses = []
    for block in ({}, {"sft": {"loss_type": "dft"}}, {"training": {"neftune_noise_alpha": 50.0}}):  # fmt: skip
        folder = new_run_folder(tmp_path, "sft")
        training = {"max_steps": 1, "eval_steps": 1, **block.get("training", {})}
        adapter = {"r": 4, "lora_dropout": 0.0}
        sit(make_recipe("sft", model, adapter=adapter, training=training, sft=block.get("sft", {})), folder)
        losses.append(curve(folder, "loss")[0][1])
    assert len({round(loss, 4) for loss in losses}) == 3, losses


def sample(config: str, name: str) -> Any:
    if name == "loss_type":
        return LOSSES.get(config, "dft")
    if name == "disable_dropout":
        return not trl_default(config, name)
    return SAMPLES[name]


def trl_default(config: str, name: str) -> Any:
    return next(item.default for item in dataclasses.fields(config_class(config)) if item.name == name)


def method_of_config(config: str) -> str:
    return "distill" if config == DISTILL_LOGITS else config


def recipe_of(config: str, changes: dict[str, Any] | None = None) -> Recipe:
    value: dict[str, Any] = {
        "method": method_of_config(config), "model": {"name": "pocket"}, "data": {"train": "x.jsonl"},
        "training": {"per_device_train_batch_size": 8},
    }  # fmt: skip
    if config == DISTILL_LOGITS:
        value["distill"] = {"mode": "logits"}
    for block, change in (changes or {}).items():
        value[block] = {**value.get(block, {}), **change}
    assert config_of(value) == config
    return build_recipe(value, "the test's recipe")


def job_of(recipe: Recipe, root: Path) -> Job:
    """A job as far as its arguments go: no model is loaded."""
    folder = new_run_folder(root, recipe.method)
    none: Any = None
    return Job(recipe, folder, root, Reporter(folder.events), "cpu", none, none, none, none, make_schedule(recipe, 64))


def config_class(config: str) -> type:
    import trl

    if config == "orpo":
        from trl.experimental.orpo import ORPOConfig

        return ORPOConfig
    names = {"sft": "SFT", "cpt": "SFT", "distill": "SFT", DISTILL_LOGITS: "Distillation", "dpo": "DPO",
        "constitution": "DPO", "kto": "KTO", "reward": "Reward", "grpo": "GRPO", "rloo": "RLOO"}  # fmt: skip
    found: type = getattr(trl, f"{names[config]}Config")
    return found
