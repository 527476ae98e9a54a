"""DPO on a tiny model: what is learned, what the reference is, the curve after a resume."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.pairs import encode_pair
from rung.engine.data.preferences import pairs_from
from rung.engine.data.read import Row
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from tests.helpers.method_runs import chat_rows, curve, last_evaluation, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.tiny import make_byte_tokenizer, make_tiny_model

CURVES = ("rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected", "rewards/chosen")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def test_preferences_are_learned_and_the_curve_survives_a_stop(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("dpo", model_folder)
    whole = new_run_folder(write_rows(tmp_path / "whole", pair_rows()), "dpo")
    sit(recipe, whole)

    margins = values(whole, "rewards/margins")
    assert margins[0] == 0.0, "before the first step the policy is the reference"
    assert margins[-1] > 0.15
    assert values(whole, "loss")[-1] < values(whole, "loss")[0]
    assert last_evaluation(whole)["rewards/accuracies"] > 0.9
    assert "perplexity" not in last_evaluation(whole)
    assert all(len(values(whole, name)) == 18 for name in CURVES)
    assert sorted(path.name for path in (whole.path / "adapter").iterdir() if path.is_dir()) == []
    state = RunReader(whole).catch_up()
    assert state.result["metrics"]["loss"] < state.result["metrics"]["loss_before"]
    assert {sample["reference"] for sample in state.samples} <= {row["chosen"] for row in pair_rows()}

    broken = new_run_folder(write_rows(tmp_path / "broken", pair_rows()), "dpo")
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    for name in ("loss", *CURVES):
        assert curve(broken, name) == curve(whole, name)


def test_the_reference_of_a_run_is_what_it_started_from(model_folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, chat_rows())
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, training={"max_steps": 4}), first)
    write_rows(tmp_path, pair_rows(12))
    recipe = make_recipe("dpo", model_folder, start_from=f"run:{first.id}", training={"max_steps": 4})
    second = new_run_folder(tmp_path, "dpo")
    sit(recipe, second, stop_at=2)
    assert values(second, "rewards/margins")[0] == 0.0
    assert values(second, "loss")[0] == pytest.approx(0.6931, abs=1e-3)
    sit(recipe, second)
    whole = new_run_folder(tmp_path, "dpo")
    sit(recipe, whole)
    assert curve(second, "rewards/chosen") == curve(whole, "rewards/chosen"), "the reference changed on resume"
    # Against the bare base the first margin would not be 0: the start is not the base.
    fresh = new_run_folder(tmp_path, "dpo")
    sit(make_recipe("dpo", model_folder, training={"max_steps": 1}), fresh)
    assert values(fresh, "logps/chosen")[0] != pytest.approx(values(whole, "logps/chosen")[0], abs=1e-2)


def test_all_weights_can_be_trained_from_a_run_in_full(model_folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, chat_rows(12))
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, adapter=None, training={"max_steps": 3, "learning_rate": 1e-3}), first)
    write_rows(tmp_path, pair_rows(12))
    rate = {"max_steps": 4, "learning_rate": 1e-3}
    second = new_run_folder(tmp_path, "dpo")
    sit(make_recipe("dpo", model_folder, adapter=None, start_from=f"run:{first.id}", training=rate), second)
    assert values(second, "rewards/margins")[0] == 0.0
    assert values(second, "rewards/margins")[-1] > 0.0
    assert (second.path / "model" / "model.safetensors").exists()
    third = new_run_folder(tmp_path, "dpo")
    sit(make_recipe("dpo", model_folder, start_from=f"run:{second.id}", training={"max_steps": 1}), third)
    assert weights_under(third) == str(second.path / "model")


def weights_under(folder: RunFolder) -> str:
    import json

    config: dict[str, Any] = json.loads((folder.path / "adapter" / "adapter_config.json").read_text())
    return str(config["base_model_name_or_path"])


@pytest.mark.parametrize("losses", [["ipo"], ["hinge"], ["robust"], ["sigmoid_norm"], ["sigmoid", "sft"]])
def test_other_losses(model_folder: Path, tmp_path: Path, losses: list[str]) -> None:
    folder = new_run_folder(write_rows(tmp_path, pair_rows(12)), "dpo")
    block = {"loss_type": losses, "label_smoothing": 0.1 if losses == ["robust"] else 0.0}
    sit(make_recipe("dpo", model_folder, dpo=block, training={"max_steps": 3, "eval_steps": 3}), folder)
    assert values(folder, "rewards/margins")[-1] > 0.0


def test_a_loss_that_does_not_exist_is_refused_before_training(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, pair_rows(12)), "dpo")
    with pytest.raises(EngineError, match="no DPO loss sigmoyd") as caught:
        sit(make_recipe("dpo", model_folder, dpo={"loss_type": ["sigmoyd"]}), folder)
    assert "sigmoid" in caught.value.hint


def test_chats_are_refused_with_the_shape_that_is_needed(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows()), "dpo")
    with pytest.raises(EngineError, match="wrong shape") as caught:
        sit(make_recipe("dpo", model_folder), folder)
    assert "holds prompt_completion" in caught.value.details
    assert "chosen, rejected" in caught.value.details


def test_the_default_rate_is_the_methods(model_folder: Path) -> None:
    recipe = make_recipe("dpo", model_folder, training={})
    assert recipe.training.learning_rate == 1e-2
    from rung.engine.recipe.load import build_recipe

    plain = {"method": "dpo", "model": {"name": "pocket"}, "data": {"train": "x.jsonl"}}
    assert build_recipe(plain, "test").training.learning_rate == 5e-6
    assert build_recipe(plain | {"adapter": None}, "test").training.learning_rate == 1e-6
    assert build_recipe(plain | {"method": "sft"}, "test").training.learning_rate == 2e-4


def test_pairs_are_tokenised_as_trl_would(tmp_path: Path) -> None:
    """Ids equal TRL's own, but for the newline after the stop token: it is never generated, so it is not compared."""
    from trl.data_utils import is_conversational
    from trl.trainer.dpo_trainer import _tokenize

    tokenizer = make_byte_tokenizer()
    pairs, _ = pairs_from([Row(row, "rows", n) for n, row in enumerate(pair_rows(3))])
    for pair in pairs:
        assert is_conversational({"prompt": pair.prompt})
        item = encode_pair(pair, tokenizer)
        prompt = _tokenize(tokenizer, pair.prompt, add_generation_prompt=True)["input_ids"]
        both = [_tokenize(tokenizer, chat.messages)["input_ids"] for chat in pair.conversations]
        assert item.prompt_ids == prompt
        newline = tokenizer("\n")["input_ids"]
        assert [item.prompt_ids + item.chosen_ids + newline, item.prompt_ids + item.rejected_ids + newline] == both


def test_the_reference_can_be_asked_once_before_training(model_folder: Path, tmp_path: Path) -> None:
    """The figures are those of asking it at every step, also after a resume, and for all weights."""
    short = {"max_steps": 6, "eval_steps": 6}
    for adapter, rate in (({"r": 8}, 1e-2), (None, 1e-3)):
        runs = []
        for once in (False, True):
            folder = new_run_folder(write_rows(tmp_path, pair_rows(12)), "dpo")
            training = {**short, "learning_rate": rate}
            block = {"precompute_ref_log_probs": once}
            recipe = make_recipe("dpo", model_folder, adapter=adapter, training=training, dpo=block)
            sit(recipe, folder, stop_at=3 if once else None)
            if once:
                sit(recipe, folder)
            runs.append(folder)
        for name in ("loss", "rewards/margins"):
            assert values(runs[1], name) == pytest.approx(values(runs[0], name), abs=1e-4)
