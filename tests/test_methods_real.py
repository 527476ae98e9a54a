"""Preferences and rewards on real data with a real, small model: better than chance, than length, or a clear end."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.data.pairs import load_pairs
from engine.data.report import group_of
from engine.errors import EngineError
from engine.models import load_tokenizer
from engine.preferences import wilson_interval
from engine.recipe.load import build_recipe
from engine.recipe.schema import ModelSettings, Recipe
from engine.runs.folder import RunFolder, new_run_folder
from engine.worker.splits import hold_out
from tests.method_runs import last_evaluation, sit, values, warnings_of, write_rows

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
    sit(real_recipe(reference_data, method, rate), folder)
    count = int(last_evaluation(folder)["n"])
    assert count > 290
    low, _ = wilson_interval(round(last_evaluation(folder)[figure] * count), count)
    assert low > 0.5
    assert low > longer_wins
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


def test_long_real_pairs_are_reported_and_conversations_stay_together(reference_data: Path) -> None:
    """`oasst-100trees` in the context of stories260K: most pairs are too long, and all of them are said."""
    settings = ModelSettings(name=str(reference_data / "stories260K"), chat_template="plain")
    tokenizer = load_tokenizer(settings, reference_data)
    data = load_pairs(reference_data / "oasst-100trees" / "pref_pairs.jsonl", tokenizer, max_length=512)
    report = data.report
    assert (report.rows, report.used + len(report.problems)) == (754, 754)
    assert 480 < len(report.problems) < 620
    assert {problem.field for problem in report.problems} == {"length"}
    train, validation = hold_out(data, seed=0, most=200)
    assert {group_of(pair) for pair in train.examples}.isdisjoint(group_of(pair) for pair in validation.examples)
    assert len(validation.encoded) >= 0.05 * len(data.encoded)
