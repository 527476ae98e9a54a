"""The gate before launch: each refusal by name, its override on record, and the step on the longest rows."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from rung.engine.check.check_worker import _check_recipe
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.models.forecast import checkpoint_bytes
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import Override, Recipe
from rung.engine.training import launch_checks as gate
from rung.engine.training.methods import METHODS
from tests.helpers.method_runs import chat_rows, curve, make_recipe, pair_rows, sit, values, warnings_of, write_rows
from tests.helpers.tiny import make_tiny_model

TWO_STEPS = {"max_steps": 2, "eval_steps": 2}
WITHOUT_MARKS = (
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
MARKED_NOWHERE = (
    WITHOUT_MARKS.replace("+ '\n' }}{%- endfor", "+ '<|im_end|>\n' }}{%- endfor")
    + "{%- if false %}{%- generation %}{%- endgeneration %}{%- endif %}"
)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000))


def nothing(_monkeypatch: pytest.MonkeyPatch) -> None:
    pass


LONG = [{"prompt": f"Say {n}", "completion": "long " * 60} for n in range(12)]


@pytest.mark.parametrize(
    ("name", "template", "rows", "max_length", "arrange", "words"),
    [
        ("template", None, chat_rows(), 128, nothing, "no chat template"),
        ("no_trained_token", MARKED_NOWHERE, chat_rows(), 128, nothing, "No row of"),
        ("stop_token", WITHOUT_MARKS, chat_rows(), 128, nothing, "stop token is never among the trained"),
        ("all_truncated", WITHOUT_MARKS, LONG, 64, nothing, "stop token"),
        ("context", "the tiny model's", chat_rows(), 4096, nothing, "was made for 512 tokens"),
        ("disk", "the tiny model's", chat_rows(), 128, full_disk, "too little room for the checkpoints"),
    ],
)
def test_each_refusal_has_a_name_and_its_override_is_told_and_kept(
    name: str,
    template: str | None,
    rows: list[dict[str, Any]],
    max_length: int,
    arrange: Callable[[pytest.MonkeyPatch], None],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {} if template == "the tiny model's" else {"chat_template": template}
    model = make_tiny_model(tmp_path / "model", **given)
    root = write_rows(tmp_path / "project", rows)
    arrange(monkeypatch)
    changes: dict[str, Any] = {"data": {"max_length": max_length}, "training": TWO_STEPS}
    with pytest.raises(EngineError, match=words) as caught:
        sit(make_recipe("sft", model, **changes), new_run_folder(root, "sft"))
    needed = ["stop_token", "all_truncated"] if name == "all_truncated" else [name]
    assert needed[0] in caught.value.hint or name == "template"
    checked = _check_recipe({"recipe": make_recipe("sft", model, **changes).model_dump(), "root": str(root)})
    assert any(words.split()[-1] in problem["reason"] for problem in checked["problems"]), checked["problems"]

    overriding = make_recipe("sft", model, overrides=needed, **changes)
    folder = new_run_folder(root, "sft")
    sit(overriding, folder)
    assert RunReader(folder).catch_up().status == "finished"
    for one in needed:
        assert any(f"overridden ({one})" in text.lower() for text in warnings_of(folder)), warnings_of(folder)
        assert one in load_recipe(folder.recipe).overrides
    assert _check_recipe({"recipe": overriding.model_dump(), "root": str(root)})["problems"] == []
    if name == "template":
        assert load_recipe(folder.recipe).model.chat_template == "plain"


def test_a_name_that_is_no_refusal_is_refused_itself(model_folder: Path) -> None:
    with pytest.raises(EngineError) as caught:
        make_recipe("sft", model_folder, overrides=["stop_tokens"])
    assert "stop_token" in str(caught.value)
    assert set(get_args(Override)) >= {"stop_token", "disk", "recipe_changed", "leaks"}


def test_a_stop_token_of_the_models_own_counts(tmp_path: Path) -> None:
    """Gemma and Phi end a turn with another token than a text, and say so in generation_config.json."""
    template = WITHOUT_MARKS.replace("+ '\n' }}{%- endfor", "+ '<|im_start|>' + '\n' }}{%- endfor")
    model = make_tiny_model(tmp_path / "model", chat_template=template)
    root = write_rows(tmp_path / "project", chat_rows())
    recipe = make_recipe("sft", model, training=TWO_STEPS)
    with pytest.raises(EngineError, match="stop token"):
        sit(recipe, new_run_folder(root, "sft"))
    (model / "generation_config.json").write_text('{"eos_token_id": [3, 2]}')
    folder = new_run_folder(root, "sft")
    sit(recipe, folder)
    assert RunReader(folder).catch_up().status == "finished"


def test_room_on_disk_is_for_the_kept_the_best_the_next_and_the_result() -> None:
    assert checkpoint_bytes(10, 20, keep=2, num_saves=100) == 4 * 30 + 10
    assert checkpoint_bytes(10, 20, keep=2, num_saves=1) == 30 + 10
    assert checkpoint_bytes(10, 20, keep=None, num_saves=7) == 7 * 30 + 10


def forecasts(folder: RunFolder) -> list[dict[str, Any]]:
    return [event for event in read_json_lines(folder.events) if event["type"] == "forecast"]


ROWS = {"sft": chat_rows, "cpt": chat_rows, "dpo": pair_rows, "orpo": pair_rows, "kto": pair_rows, "reward": pair_rows,
        "grpo": chat_rows, "rloo": chat_rows}  # fmt: skip
LENGTH = {"rewards": [{"name": "length", "most": 4, "unit": "characters"}], "num_generations": 4,
          "max_completion_length": 8}  # fmt: skip


@pytest.mark.parametrize("method", ROWS)
def test_a_step_and_an_evaluation_on_the_longest_rows_come_first_and_leave_nothing_behind(
    method: str, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = {method: LENGTH} if method in ("grpo", "rloo") else {}
    training = TWO_STEPS | {"max_steps": 4, "per_device_train_batch_size": 8}
    recipe = make_recipe(method, model_folder, training=training, **block)
    folder = new_run_folder(write_rows(tmp_path / "with", ROWS[method](48)), method)
    sit(recipe, folder)
    events = read_json_lines(folder.events)
    kinds = [event.get("name", event["type"]) for event in events]
    assert kinds.index("preflight") < kinds.index("evaluation" if "evaluation" in kinds else "evaluate")
    before, after, *_ = forecasts(folder)
    # In this process, whose heap may have room for it all; test_forecast.py measures in a worker's own.
    assert before["measured"] is None and after["measured"] >= 0
    assert after["seconds"] > 0 and after["bytes"] == before["bytes"] == sum(before["parts"].values())
    assert kinds.index("preflight") < events.index(after) < kinds.index("train")

    monkeypatch.setattr("rung.engine.training.train.run_preflight", lambda *_: None)
    without = new_run_folder(write_rows(tmp_path / "without", ROWS[method](48)), method)
    sit(recipe, without)
    assert curve(folder, "loss") == curve(without, "loss")
    tokens = [[event["tokens"] for event in read_json_lines(run.events) if event["type"] == "step"]
              for run in (folder, without)]  # fmt: skip
    assert tokens[0] == tokens[1]


def test_the_longest_rows_are_those_of_the_test(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rung.engine.training import preflight

    rows = [{"prompt": f"Colour {n}?", "completion": "red" * (1 + 9 * (n in (3, 17)))} for n in range(24)]
    write_rows(tmp_path, rows)
    write_rows(tmp_path, chat_rows(4), "validation")
    seen: list[list[int]] = []
    share = preflight._share

    def watched(lengths: list[int], longest: list[int]) -> float:
        seen.append([lengths[row] for row in longest])
        return share(lengths, longest)

    monkeypatch.setattr(preflight, "_share", watched)
    training = TWO_STEPS | {"per_device_train_batch_size": 2}
    data = {"validation": "data/validation.jsonl"}
    sit(make_recipe("sft", model_folder, data=data, training=training), new_run_folder(tmp_path, "sft"))
    assert min(seen[0]) > 2 * share([10], [0]) and len(seen[0]) == 2
    assert min(seen[0]) > max(seen[1])


def test_rows_that_give_no_number_are_named_before_training(model_folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    broken = make_tiny_model(tmp_path / "model")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    folder = new_run_folder(write_rows(tmp_path, chat_rows()), "sft")
    with pytest.raises(EngineError, match="not a number on the longest rows") as caught:
        sit(make_recipe("sft", broken), folder)
    assert "lines" in caught.value.details and "train.jsonl" in caught.value.details


WRONG: dict[str, list[dict[str, Any]]] = {
    "pairs": [{"prompt": f"q{n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(12)],
    "chats": [{"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]}
              for n in range(12)],
    "texts": [{"text": f"Some text, number {n}."} for n in range(12)],
    "prompts": [{"prompt": f"q{n}"} for n in range(12)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "rows", "has"),
    [
        ("sft", "pairs", "holds preference"),
        ("sft", "prompts", "holds prompts"),
        ("cpt", "pairs", "holds preference"),
        ("dpo", "chats", "holds messages"),
        ("orpo", "texts", "holds text"),
        ("reward", "chats", "holds messages"),
        ("kto", "chats", "holds messages"),
        ("grpo", "texts", "holds text"),
        ("rloo", "texts", "holds text"),
        ("distill", "texts", "holds text"),
        ("constitution", "texts", "holds text"),
    ],
)
def test_a_method_refuses_rows_of_another_shape_in_one_message(
    method: str, rows: str, has: str, model_folder: Path, tmp_path: Path
) -> None:
    blocks: dict[str, Any] = {
        "grpo": LENGTH, "rloo": LENGTH, "distill": {"teacher": {"model": {"name": str(model_folder)}}},
        "constitution": {"principles": "principles.txt"},
    }  # fmt: skip
    (tmp_path / "principles.txt").write_text("Be brief.\n")
    recipe: Recipe = make_recipe(method, model_folder, **({method: blocks[method]} if method in blocks else {}))
    folder = new_run_folder(write_rows(tmp_path, WRONG[rows]), method)
    with pytest.raises(EngineError, match="wrong shape for this method") as caught:
        sit(recipe, folder)
    assert has in caught.value.details and "it needs " in caught.value.details
    assert "suit method: " in caught.value.hint
    assert values(folder, "loss") == []


def test_every_method_is_among_those_tested() -> None:
    assert {"sft", "cpt", "dpo", "orpo", "reward", "kto", "grpo", "rloo", "distill", "constitution"} == set(METHODS)


def test_four_bits_and_all_weights_do_not_go_together(model_folder: Path) -> None:
    with pytest.raises(EngineError) as caught:
        make_recipe("sft", model_folder, adapter=None, model={"quantization": "nf4"})
    assert "nf4 can't be trained in full" in str(caught.value)
    assert json.dumps("set an adapter")[1:-1] in str(caught.value)
