"""The reward model on a tiny model: it learns, resumes, and its artifact scores again as it did in training."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import find_run, new_run_folder
from rung.engine.jobs.reader import RunReader
from tests.helpers.method_runs import chat_rows, curve, last_evaluation, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def accuracy_and_margin(run: str, root: Path, count: int = 40) -> tuple[float, float]:
    """Of the run's artifact, loaded anew, over the first `count` pairs."""
    from rung.engine.training.rewards.model import load_reward_run

    scorer = load_reward_run(find_run(root, run), root, "cpu")
    rows = pair_rows(count)
    answers = ("chosen", "rejected")
    chats = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[answer]}]
        for answer in answers
        for row in rows
    ]
    scores = scorer.score(chats)
    pairs = list(zip(scores[:count], scores[count:], strict=True))
    margins = [chosen - rejected for chosen, rejected in pairs]
    return sum(margin > 0 for margin in margins) / count, sum(margins) / count


def test_pairs_are_told_apart_and_the_artifact_scores_again(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("reward", model_folder)
    whole = new_run_folder(write_rows(tmp_path / "whole", pair_rows()), "reward")
    sit(recipe, whole)
    figures = last_evaluation(whole)
    assert figures["accuracy"] == 1.0
    assert figures["margin"] > 0.5
    assert values(whole, "loss")[-1] < values(whole, "loss")[0]
    assert values(whole, "margin")[-1] > values(whole, "margin")[0]
    state = RunReader(whole).catch_up()
    assert state.samples == [], "a reward model answers nothing"
    accuracy, margin = accuracy_and_margin(whole.id, whole.path.parents[1])
    assert accuracy == 1.0
    assert margin == pytest.approx(figures["margin"], rel=0.5)

    broken = new_run_folder(write_rows(tmp_path / "broken", pair_rows()), "reward")
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    for name in ("loss", "margin", "accuracy"):
        assert curve(broken, name) == curve(whole, name)


def test_a_short_last_batch_weighs_no_more_than_its_rows(model_folder: Path, tmp_path: Path) -> None:
    write_rows(write_rows(tmp_path, pair_rows(24)), pair_rows(5), "validation")
    folder = new_run_folder(tmp_path, "reward")
    short = {"max_steps": 2, "eval_steps": 2}
    sit(make_recipe("reward", model_folder, data={"validation": "data/validation.jsonl"}, training=short), folder)
    accuracy, margin = accuracy_and_margin(folder.id, tmp_path, 5)
    figures = last_evaluation(folder)
    assert figures["n"] == 5
    assert figures["accuracy"] == pytest.approx(accuracy)
    assert figures["margin"] == pytest.approx(margin, rel=0.01)


def test_a_reward_model_can_start_from_a_tuned_adapter_and_be_trained_in_full(
    model_folder: Path, tmp_path: Path
) -> None:
    write_rows(tmp_path, chat_rows(12))
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, training={"max_steps": 3}), first)
    write_rows(tmp_path, pair_rows(16))
    short = {"max_steps": 3, "eval_steps": 3}
    second = new_run_folder(tmp_path, "reward")
    sit(make_recipe("reward", model_folder, start_from=f"run:{first.id}", training=short), second)
    fresh = new_run_folder(tmp_path, "reward")
    sit(make_recipe("reward", model_folder, training=short), fresh)
    assert values(second, "margin")[0] != values(fresh, "margin")[0], "the tuned adapter is not in the reward model"
    assert accuracy_and_margin(second.id, tmp_path)[1] > 0.0

    full = new_run_folder(tmp_path, "reward")
    sit(make_recipe("reward", model_folder, adapter=None, training={**short, "learning_rate": 1e-3}), full)
    assert (full.path / "model" / "model.safetensors").exists()
    assert accuracy_and_margin(full.id, tmp_path)[1] > 0.0

    with pytest.raises(EngineError, match="a reward model gives scores"):
        sit(make_recipe("dpo", model_folder, start_from=f"run:{second.id}"), new_run_folder(tmp_path, "dpo"))
    from rung.engine.training.rewards.model import load_reward_run

    with pytest.raises(EngineError, match="no reward model"):
        load_reward_run(first, tmp_path, "cpu")
