"""Preferences and rewards on real data with a real, small model: better than chance, than length, or a clear end."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.pairs import load_pairs
from rung.engine.data.report import group_of
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.models.load import load_tokenizer
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import ModelSettings, Recipe
from rung.engine.results.preferences import wilson_interval
from rung.engine.training.rows import hold_out
from tests.helpers.method_runs import last_evaluation, sit, values, warnings_of, write_rows

HELD_OUT = 300


def real_recipe(reference: Path, method: str, rate: float, **changes: Any) -> Recipe:
    value = {
        "method": method,
        "model": {"name": str(reference / "stories260K"), "chat_template": "plain"},
        "adapter": None,
        "data": {"train": "data/train.jsonl", "validation": "data/validation.jsonl", "max_length": 512},
        "training": {"learning_rate": rate, "num_train_epochs": 1, "per_device_train_batch_size": 8, "eval_steps": 50},
        "probe": {"source": None},
        "samples": {"max_new_tokens": 8},
        **changes,
    }
    return build_recipe(value, "the test's recipe")


def preference_project(data: Path, root: Path) -> float:
    """Write the pairs, the last held out; give the share of held-out pairs whose preferred answer is the longer one."""
    file = data / "raschka-instruct-1100" / "instruction-data-with-preference.json"
    rows = json.loads(file.read_text(encoding="utf-8"))
    random.Random(0).shuffle(rows)
    write_rows(root, rows[HELD_OUT:])
    write_rows(root, rows[:HELD_OUT], "validation")
    used = [row for row in rows[:HELD_OUT] if row["chosen"] != row["rejected"]]
    return sum(len(row["chosen"]) > len(row["rejected"]) for row in used) / len(used)


@pytest.mark.accept
@pytest.mark.parametrize(
    ("method", "rate", "figure"), [("reward", 1e-3, "accuracy"), ("dpo", 2e-4, "rewards/accuracies")]
)
def test_held_out_preferences_are_told_better_than_by_chance_or_length(
    reference_data: Path, tmp_path: Path, method: str, rate: float, figure: str
) -> None:
    longer_wins = preference_project(reference_data, tmp_path)
    folder = new_run_folder(tmp_path, method)
    recipe = real_recipe(reference_data, method, rate)
    sit(recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_steps": 50})}), folder)
    count = int(last_evaluation(folder)["n"])
    assert count > 290
    low, _ = wilson_interval(round(last_evaluation(folder)[figure] * count), count)
    # DPO's figure is strict, so it is 0 before the first step: chance is one half all the same.
    assert low > 0.5
    assert low > wilson_interval(round(longer_wins * count), count)[1]
    assert not any("fall together" in text for text in warnings_of(folder))


@pytest.mark.accept
def test_numbers_that_a_story_teller_never_gets_right_end_the_run(reference_data: Path, tmp_path: Path) -> None:
    file = reference_data / "gsm8k" / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:120]]
    write_rows(tmp_path, rows)
    block = {
        "rewards": ["numeric_answer"],
        "num_generations": 4,
        "max_completion_length": 24,
        "no_variance_patience": 5,
    }
    recipe = real_recipe(
        reference_data, "grpo", 1e-5, grpo=block, data={"train": "data/train.jsonl", "max_length": 512}
    )
    folder: RunFolder = new_run_folder(tmp_path, "grpo")
    with pytest.raises(EngineError, match="No variance in the rewards"):
        sit(recipe, folder)
    assert len(values(folder, "reward")) < 20


ASKED = (
    ("Numbers: {0}, {1}, {2}. What is the last number?", 2),
    ("There are {0} apples and {1} pears in the shop. How many pears are there?", 1),
    ("Which is larger, {0} or {1}?", None),
    ("Say the number {0}.", 0),
)


def number_rows(count: int) -> list[dict[str, str]]:
    """Questions whose answer is one of the numbers in them: the pocket model finds it now and then."""
    drawn = random.Random(3)
    rows = []
    for at in range(count):
        numbers = drawn.sample(range(2, 60), 3)
        words, place = ASKED[at % len(ASKED)]
        answer = max(numbers[:2]) if place is None else numbers[place]
        rows.append({"prompt": words.format(*numbers), "reference": str(answer)})
    return rows


@pytest.mark.accept
def test_right_numbers_are_learned_from_where_some_are_right_already(tmp_path: Path) -> None:
    rows = number_rows(300)
    write_rows(write_rows(tmp_path, rows[60:]), rows[:60], "validation")
    value = {
        "method": "grpo",
        "model": {"name": "pocket"},
        "data": {"train": "data/train.jsonl", "validation": "data/validation.jsonl", "max_length": 128},
        "training": {
            "learning_rate": 2e-3,
            "max_steps": 16,
            "per_device_train_batch_size": 64,
            "eval_steps": 16,
        },
        "grpo": {"rewards": ["numeric_answer"], "num_generations": 8, "max_completion_length": 8, "beta": 0.0},
        "probe": {"source": None},
        "samples": {"max_new_tokens": 8},
    }
    folder = new_run_folder(tmp_path, "grpo")
    sit(build_recipe(value, "the test's recipe"), folder)
    before, *_, after = values(folder, "evaluation/reward")
    assert 0.05 < before < 0.8, "the task must be neither hopeless nor known"
    # Each question is answered eight times, so an interval over the questions is wider than it need be.
    assert wilson_interval(round(after * 60), 60)[0] > wilson_interval(round(before * 60), 60)[1]


LONG_PAIRS = Path("oasst-100trees") / "pref_pairs.jsonl"


@pytest.mark.accept
def test_long_real_pairs_are_told_by_check_as_they_are(reference_data: Path, cli: Callable[..., Any]) -> None:
    """`oasst-100trees` in the context of stories260K: most pairs are too long, and all of them are said."""
    model = reference_data / "stories260K"
    ran = cli("check", reference_data / LONG_PAIRS, "--model", model, "--max-length", "512", "--json")
    report = json.loads(ran.out)
    tokenizer = load_tokenizer(ModelSettings(name=str(model), chat_template="plain"), reference_data)
    rows = [json.loads(line) for line in (reference_data / LONG_PAIRS).read_text(encoding="utf-8").splitlines()]
    long, bare = set(), 0
    for line, row in enumerate(rows, start=1):
        for answer in (row["chosen"], row["rejected"]):
            turns = [*row["prompt"], *answer]
            if len(tokenizer.apply_chat_template(turns, return_dict=False)) > 512:
                long.add(line)
        texts = ["\n".join(turn["content"] for turn in [*row["prompt"], *row[name]]) for name in ("chosen", "rejected")]
        bare += max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) > 512
    assert bare == 547, "the headings of a template make a few more"
    assert {problem["line"] for problem in report["problems"]} == long
    assert bare <= len(long) < bare + 30
    assert (report["rows"], report["used"]) == (754, 754 - len(long))
    notes = " ".join(report["notes"])
    assert "754 pairs from 212 prompts in 100 conversations" in notes
    assert "the longer one in 70 % of the pairs" in notes


@pytest.mark.accept
def test_long_real_pairs_are_split_by_conversation_and_those_that_fit_are_trained_on(
    reference_data: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    model = reference_data / "stories260K"
    cli("new", tmp_path / "project", "--model", model, "--train", reference_data / LONG_PAIRS)
    data = tmp_path / "project" / "data"
    trees = {
        name: {
            json.loads(line)["prompt"][0]["content"]
            for line in (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        }
        for name in ("train", "validation", "test")
    }
    assert sum(map(len, trees.values())) == 100 == len(set.union(*trees.values()))

    tokenizer = load_tokenizer(ModelSettings(name=str(model), chat_template="plain"), reference_data)
    loaded = load_pairs(reference_data / LONG_PAIRS, tokenizer, max_length=512)
    train, validation = hold_out(loaded, seed=0, most=200)
    assert {group_of(pair) for pair in train.examples}.isdisjoint(group_of(pair) for pair in validation.examples)
    assert len(validation.encoded) >= 0.05 * len(loaded.encoded)

    recipe = real_recipe(
        reference_data,
        "dpo",
        2e-4,
        data={"train": "data/train.jsonl", "validation": "data/validation.jsonl", "max_length": 512},
        training={"learning_rate": 2e-4, "max_steps": 3, "per_device_train_batch_size": 4, "eval_steps": 3},
    )
    folder = new_run_folder(tmp_path / "project", "dpo")
    sit(recipe, folder)
    assert len(values(folder, "loss")) == 3
    fitting = load_pairs(data / "train.jsonl", tokenizer, max_length=512).report
    told = f"{fitting.rows - fitting.used} of {fitting.rows} training rows can't be used"
    assert any(text.startswith(told) for text in warnings_of(folder))
