"""Real training of a tiny model in this process: the curve, stopping, resuming, refusing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.events import Event, Step
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe
from tests.helpers.tiny import make_tiny_model

WORDS = ["red", "green", "blue", "black", "white", "brown", "pink", "grey"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def write_project(root: Path, rows: int = 48) -> Path:
    data = root / "data"
    data.mkdir(parents=True)
    lines = [
        {"prompt": f"Colour {number} {WORDS[number % 8] * (number % 3 + 1)}?", "completion": WORDS[number % 8]}
        for number in range(rows)
    ]
    (data / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def recipe_for(model: Path, **changes: Any) -> Recipe:
    value: dict[str, Any] = {
        "method": "sft",
        "model": {"name": str(model)},
        "data": {"train": "data/train.jsonl", "max_length": 128},
        "training": {
            "learning_rate": 3e-2,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "eval_steps": 5,
        },
        "samples": {"max_new_tokens": 4},
        "probe": {"source": None},
    }
    for name, change in changes.items():
        value[name] = {**value[name], **change} if isinstance(value.get(name), dict) and change else change
    return build_recipe(value, "the test's recipe")


def sit(recipe: Recipe, folder: RunFolder, stop_at: int | None = None) -> None:
    """One sitting in this process; with `stop_at`, somebody asks to stop while that step is taken."""
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.train import train

    class StoppingReporter(Reporter):
        def write(self, event: Event) -> None:
            super().write(event)
            if isinstance(event, Step) and event.step + 1 == stop_at:
                (folder.requests / "stop").write_text('{"who": "the test"}')

    reporter = StoppingReporter(folder.events)
    try:
        train(recipe, folder, folder.path.parents[1], reporter)
    finally:
        reporter.close()


def losses(folder: RunFolder) -> list[tuple[float, float]]:
    curve = RunReader(folder).catch_up().curve("loss")
    return list(zip(curve.steps, curve.values, strict=True))


def test_loss_falls_and_the_artifact_is_the_best_checkpoint(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_project(tmp_path), "sft")
    sit(recipe_for(model_folder), folder)

    state = RunReader(folder).catch_up()
    assert state.status == "finished"
    assert state.result["metrics"]["loss"] < state.result["metrics"]["loss_before"] - 0.1
    evaluations = state.curve("evaluation/loss")
    assert list(evaluations.steps) == [0, 5, 10, 15, 20, 22]
    best = min(zip(evaluations.values[1:], evaluations.steps[1:], strict=True))[1]
    assert state.result["chosen_checkpoint"].startswith(f"step {best:.0f}:")
    assert (folder.path / "adapter" / "adapter_model.safetensors").exists()
    assert not list(folder.path.rglob("*.bin")), "a pickle lies in the run folder"
    assert {sample["step"] for sample in state.samples} == {0, 5, 10, 15, 20, 22}
    assert "validation loss" in folder.report.read_text()


def test_the_curve_after_a_resume_is_the_curve_without_a_break(model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(model_folder)
    whole = new_run_folder(write_project(tmp_path / "whole"), "sft")
    sit(recipe, whole)
    broken = new_run_folder(write_project(tmp_path / "broken"), "sft")
    sit(recipe, broken, stop_at=8)
    assert RunReader(broken).catch_up().status == "stopped"
    assert [step for step, _ in losses(broken)] == list(range(1, 9))

    sit(recipe, broken)

    assert losses(broken) == losses(whole)
    state = RunReader(broken).catch_up()
    assert state.status == "finished"
    tokens = [event["tokens"] for event in read_json_lines(whole.events) if event["type"] == "step"]
    assert state.tokens == tokens[-1]


def test_a_stop_where_an_evaluation_is_due_changes_nothing_later(model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(model_folder, training={"num_train_epochs": 1, "eval_steps": 2})
    whole = new_run_folder(write_project(tmp_path / "whole"), "sft")
    sit(recipe, whole)
    broken = new_run_folder(write_project(tmp_path / "broken"), "sft")
    sit(recipe, broken, stop_at=4)
    sit(recipe, broken)
    assert losses(broken) == losses(whole)


def test_a_run_that_broke_off_before_its_result_takes_no_further_step(model_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = new_run_folder(write_project(tmp_path), "sft")
    recipe = recipe_for(model_folder, training={"num_train_epochs": 1})
    sit(recipe, folder)
    whole = losses(folder)
    shutil.rmtree(folder.path / "adapter")
    lines = folder.events.read_text().splitlines(keepends=True)
    folder.events.write_text("".join(line for line in lines if '"type": "finished"' not in line))
    sit(recipe, folder)
    assert losses(folder) == whole
    assert RunReader(folder).catch_up().status == "finished"
    assert (folder.path / "adapter" / "adapter_model.safetensors").exists()


def test_a_damaged_checkpoint_is_refused(model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(model_folder)
    folder = new_run_folder(write_project(tmp_path), "sft")
    sit(recipe, folder, stop_at=6)
    weights = folder.checkpoints / "step-6" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EngineError, match="damaged"):
        sit(recipe, folder)


def test_full_fine_tuning_exports_a_model(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_project(tmp_path), "sft")
    sit(recipe_for(model_folder, adapter=None, training={"max_steps": 4}), folder)
    assert (folder.path / "model" / "model.safetensors").exists()
    assert (folder.path / "model" / "tokenizer.json").exists()


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_the_rows(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_project(tmp_path), "sft")
    recipe = recipe_for(
        model_folder, adapter=None, training={"learning_rate": 1e30, "max_grad_norm": 0.0, "warmup_ratio": 0.0}
    )
    with pytest.raises(EngineError, match="not a number at step") as caught:
        sit(recipe, folder)
    named = re.search(r"lines ([\d, ]+) of ", caught.value.details)
    assert named is not None, caught.value.details
    lines = [int(word) for word in named[1].split(",")]
    assert 1 <= len(lines) <= 4, "its batch, and no other"
    assert all(1 <= line <= 48 for line in lines)
    assert any(event.get("non_finite") for event in read_json_lines(folder.events))


def test_rows_that_can_not_be_used_are_told_also_where_the_run_splits_the_rows(
    model_folder: Path, tmp_path: Path
) -> None:
    root = write_project(tmp_path)
    with (root / "data" / "train.jsonl").open("a") as rows:
        rows.write('{"prompt": "no answer"}\n' + json.dumps({"prompt": "Say it", "completion": "long " * 60}) + "\n")
    folder = new_run_folder(root, "sft")
    sit(recipe_for(model_folder, training={"max_steps": 2}), folder)
    told = [text for _, kind, text in RunReader(folder).catch_up().log if kind == "warning"]
    assert any("1 of 50 training rows can't be used" in text and "line 49" in text for text in told), told
    assert any("lose their end: 1 (line 50)" in text for text in told), told


def test_answers_that_are_all_cut_off_are_refused_unless_overridden(model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path)
    row = {"prompt": "Say it", "completion": "long " * 60}
    (root / "data" / "train.jsonl").write_text((json.dumps(row) + "\n") * 12)
    short = {"max_length": 64}
    with pytest.raises(EngineError, match="stop token") as caught:
        sit(recipe_for(model_folder, data=short), new_run_folder(root, "sft"))
    assert "overrides=[stop_token]" in caught.value.hint

    folder = new_run_folder(root, "sft")
    changes: dict[str, Any] = {
        "data": short,
        "training": {"max_steps": 2},
        "overrides": ["stop_token", "all_truncated"],
    }
    sit(recipe_for(model_folder, **changes), folder)
    state = RunReader(folder).catch_up()
    assert state.status == "finished"
    assert any("Overridden" in text for _, kind, text in state.log if kind == "warning")


def test_forgetting_is_measured_before_during_and_after(model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path)
    (root / "general.txt").write_text("The sea is wide.\n\nA dog runs home.")
    folder = new_run_folder(root, "sft")
    sit(recipe_for(model_folder, adapter=None, probe={"source": "general.txt"}), folder)
    state = RunReader(folder).catch_up()
    assert list(state.curve("probe/loss").steps) == [0, 5, 10, 15, 20, 22]
    worse = state.curve("probe/loss").values[-1] - state.curve("probe/loss").values[0]
    assert state.result["forgetting"]["loss"] == pytest.approx(worse)
    assert abs(worse) > 0.1, "full training at this rate moves the general loss of a random model, either way"
    low, high = state.result["forgetting_intervals"]["loss"]
    assert low < worse < high
    probes = [event for event in read_json_lines(folder.events) if event["type"] == "probe"]
    assert all(event["intervals"]["loss"][0] < event["metrics"]["loss"] for event in probes)
    report = folder.report.read_text()
    assert "Gained: validation loss" in report and state.result["worse"] == ""
    assert "Forgotten:" in report or "forgotten:" in report or "No forgetting shown:" in report
    assert f"{low:+.4f} to {high:+.4f}" in report


def test_divergence_from_the_base_is_zero_at_first_and_grows(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_project(tmp_path), "sft")
    sit(recipe_for(model_folder, training={"max_steps": 6}, probe={"source": "builtin"}), folder)
    divergence = RunReader(folder).catch_up().curve("probe/kl")
    assert divergence.values[0] == pytest.approx(0.0, abs=1e-3)
    assert divergence.values[-1] > 0.01


@pytest.mark.parametrize(
    ("on_limit", "status"), [("stop", "stopped"), ("lower_rate", "finished"), ("warn", "finished")]
)
def test_the_guard_acts_on_its_limit(on_limit: str, status: str, model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path)
    (root / "general.txt").write_text("The sea is wide.\n\nA dog runs home.")
    folder = new_run_folder(root, "sft")
    # A limit that every model is past: what is tested is what the guard does then.
    probe = {"source": "general.txt", "every_steps": 3, "limit": -0.99, "on_limit": on_limit}
    sit(recipe_for(model_folder, adapter=None, probe=probe), folder)
    state = RunReader(folder).catch_up()
    assert state.status == status
    rates = state.curve("learning_rate").values
    if on_limit == "lower_rate":
        assert rates[10] < 0.6 * 3e-2, "the rate was halved at least once by step 11"
        assert any(kind == "recovered" for _, kind, _ in state.log)
    else:
        assert any("forgetting limit" in text for _, kind, text in state.log if kind == "warning")


class Killed(Exception):
    """What ends a sitting of these tests without a last word."""


def sit_until_killed(recipe: Recipe, folder: RunFolder, at: int) -> None:
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.train import train

    class KillingReporter(Reporter):
        def write(self, event: Event) -> None:
            super().write(event)
            if isinstance(event, Step) and event.step == at:
                raise Killed

    reporter = KillingReporter(folder.events)
    try:
        with pytest.raises(Killed):
            train(recipe, folder, folder.path.parents[1], reporter)
    finally:
        reporter.close()


def test_a_rate_that_the_guard_lowered_outlives_a_break(model_folder: Path, tmp_path: Path) -> None:
    def project(name: str) -> RunFolder:
        root = write_project(tmp_path / name)
        (root / "general.txt").write_text("The sea is wide.\n\nA dog runs home.")
        return new_run_folder(root, "sft")

    def rates(folder: RunFolder) -> list[tuple[float, float]]:
        curve = RunReader(folder).catch_up().curve("learning_rate")
        return list(zip(curve.steps, curve.values, strict=True))

    def probed(folder: RunFolder) -> list[float]:
        return list(RunReader(folder).catch_up().curve("probe/loss").steps)

    recipe = recipe_for(
        model_folder,
        training={"eval_steps": 4, "max_steps": 10},
        probe={"source": "general.txt", "every_steps": 4, "limit": -0.99, "on_limit": "lower_rate"},
    )
    whole = project("whole")
    sit(recipe, whole)
    assert rates(whole)[5][1] < 0.6 * rates(whole)[4][1], "the rate is halved from step 6 on"

    killed = project("killed")
    sit_until_killed(recipe, killed, at=6)
    assert [saved["step"] for saved in RunReader(killed).catch_up().checkpoints] == [4]
    sit(recipe, killed)
    assert rates(killed) == rates(whole)
    assert losses(killed) == losses(whole)

    # A stop asked for at the very step saves at once: the meter is read when the run goes on.
    stopped = project("stopped")
    sit(recipe, stopped, stop_at=4)
    assert probed(stopped) == [0]
    sit(recipe, stopped)
    assert rates(stopped) == rates(whole)
    assert losses(stopped) == losses(whole)
    assert probed(stopped) == probed(whole)
