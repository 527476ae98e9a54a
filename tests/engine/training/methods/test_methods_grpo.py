"""GRPO and RLOO on a tiny model: the reward rises, the curve survives a stop, bad rewards end the run by name."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods.batches import RepeatedPrompts
from tests.helpers.method_runs import chat_rows, curve, last_evaluation, make_recipe, sit, values, write_rows
from tests.helpers.tiny import make_tiny_model

ASCII_SHARE = """def reward(completions, references):
    assert all(reference for reference in references)
    return [sum(letter.isascii() and letter.isalnum() for letter in text) / 8 for text in completions]
"""
CURVES = ("reward", "rewards/ascii/mean", "kl", "completions/mean_length", "completions/clipped_ratio")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def project(root: Path, reward: str = ASCII_SHARE, rows: int = 24) -> Path:
    write_rows(root, chat_rows(rows))
    (root / "mine.py").write_text(reward)
    return root


def block(**changes: Any) -> dict[str, Any]:
    rewards = [{"name": "python", "file": "mine.py", "label": "ascii", "timeout": 5}]
    return {"num_generations": 4, "max_completion_length": 8, "beta": 0.01, "rewards": rewards, **changes}


def recipe_for(
    model: Path, method: str = "grpo", training: dict[str, Any] | None = None, adapter: Any = "lora", **changes: Any
) -> Recipe:
    steps = {"max_steps": 16, "per_device_train_batch_size": 16, "learning_rate": 2e-2, **(training or {})}
    kind = {"adapter": None} if adapter is None else {}
    return make_recipe(method, model, training=steps, **{method: block(**changes)}, **kind)


@pytest.mark.parametrize("method", ["grpo", "rloo"])
@pytest.mark.slow
def test_the_reward_rises_and_the_curve_survives_a_stop(model_folder: Path, tmp_path: Path, method: str) -> None:
    recipe = recipe_for(model_folder, method, training={"learning_rate": 1e-2}, adapter=None)
    whole = new_run_folder(project(tmp_path / "whole"), method)
    sit(recipe, whole)
    rewards = values(whole, "reward")
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.1
    assert all(len(values(whole, name)) == 16 for name in CURVES)
    assert values(whole, "kl")[0] == pytest.approx(0.0, abs=1e-6)
    assert values(whole, "kl")[-1] > 0.0
    state = RunReader(whole).catch_up()
    assert state.result["metrics"]["reward"] > state.result["metrics"]["reward_before"]
    assert "highest validation reward" in state.result["chosen_checkpoint"]
    assert "generation.safetensors" not in {path.name for path in (whole.path / "model").iterdir()}

    broken = new_run_folder(project(tmp_path / "broken"), method)
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    for name in ("loss", *CURVES):
        assert curve(broken, name) == curve(whole, name), name
    assert RunReader(broken).catch_up().tokens == state.tokens


@pytest.mark.slow
def test_answers_that_are_used_for_several_steps_survive_a_stop_between_them(
    model_folder: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(
        model_folder, steps_per_generation=2, num_iterations=2, training={"max_steps": 10, "eval_steps": 20}
    )
    whole = new_run_folder(project(tmp_path / "whole"), "grpo")
    sit(recipe, whole)
    broken = new_run_folder(project(tmp_path / "broken"), "grpo")
    sit(recipe, broken, stop_at=6)
    sit(recipe, broken)
    assert curve(broken, "loss") == curve(whole, "loss")
    assert curve(broken, "completions/mean_length") == curve(whole, "completions/mean_length")


def test_the_divergence_is_measured_where_it_is_asked_for(model_folder: Path, tmp_path: Path) -> None:
    first = new_run_folder(project(tmp_path), "sft")
    sit(make_recipe("sft", model_folder, training={"max_steps": 3, "eval_steps": 3}), first)
    training = {"max_steps": 3, "eval_steps": 3}
    plain = new_run_folder(tmp_path, "grpo")
    sit(recipe_for(model_folder, beta=0.0, training=training), plain)
    assert values(plain, "kl") == []
    for start, adapter in ((None, {"r": 8}), (f"run:{first.id}", {"r": 8}), (f"run:{first.id}", None)):
        folder = new_run_folder(tmp_path, "grpo")
        value = recipe_for(model_folder, beta=0.0, measure_kl=True, training=training).model_dump()
        rate = value["training"] | {"learning_rate": 1e-3 if adapter is None else 2e-2}
        sit(Recipe.model_validate(value | {"start_from": start, "adapter": adapter, "training": rate}), folder)
        assert values(folder, "kl")[0] == pytest.approx(0.0, abs=1e-6)
        assert values(folder, "kl")[-1] > 0.0


def fails(root: Path, recipe: Recipe) -> EngineError:
    with pytest.raises(EngineError) as caught:
        sit(recipe, new_run_folder(root, recipe.method))
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [1 / 0 for _ in completions]", "line 2"),
        ("return [float('nan') for _ in completions]", "returned nan"),
        ("return [1.0]", "returned 1 rewards for 16 answers"),
        ("while True: pass", "hangs"),
    ],
)
def test_a_bad_reward_function_ends_the_run_by_name(model_folder: Path, tmp_path: Path, body: str, words: str) -> None:
    rewards = [{"name": "python", "file": "mine.py", "timeout": 0.5}]
    root = project(tmp_path, f"def reward(completions):\n    {body}\n")
    error = fails(root, recipe_for(model_folder, rewards=rewards))
    assert "mine.py:reward" in error.message
    assert words in str(error)


def test_what_can_not_work_is_refused_before_training(model_folder: Path, tmp_path: Path) -> None:
    root = project(tmp_path)
    assert "grpo.rewards" in str(fails(root, recipe_for(model_folder, rewards=[])))
    assert "no room for a prompt" in fails(root, recipe_for(model_folder, max_completion_length=128)).message
    assert "A batch takes" in fails(project(tmp_path, rows=3), recipe_for(model_folder)).message
    write_rows(tmp_path, [{"prompt": f"Say {n}"} for n in range(24)])
    error = fails(root, recipe_for(model_folder, rewards=["exact"]))
    assert "compares with a reference, and no row has one" in error.message


def test_a_reward_model_is_a_reward_beside_others(model_folder: Path, tmp_path: Path) -> None:
    from tests.helpers.method_runs import pair_rows

    write_rows(tmp_path, pair_rows(16))
    judge = new_run_folder(tmp_path, "reward")
    sit(make_recipe("reward", model_folder, training={"max_steps": 3, "eval_steps": 3}), judge)
    rewards = [{"name": "model", "run": judge.id}, {"name": "length", "most": 4, "unit": "tokens", "weight": 0.5}]
    folder = new_run_folder(tmp_path, "grpo")
    sit(recipe_for(model_folder, rewards=rewards, training={"max_steps": 2, "eval_steps": 2}), folder)
    model, length, total = (values(folder, name)[0] for name in ("rewards/model/mean", "rewards/length/mean", "reward"))
    assert total == pytest.approx(model + 0.5 * length, abs=1e-5)
    assert last_evaluation(folder)["n"] == 2


def test_prompts_are_dealt_in_whole_groups() -> None:
    sampler = RepeatedPrompts(count=7, generations=3, prompts_at_once=2, repeats=2, seed=1)
    dealt = list(sampler)
    assert len(dealt) == len(sampler) == 36
    assert dealt[:6] == dealt[6:12]
    assert dealt[0] == dealt[2] != dealt[3]
    sampler.set_epoch(1)
    assert list(sampler) != dealt
    sampler.set_epoch(0)
    assert list(sampler) == dealt
