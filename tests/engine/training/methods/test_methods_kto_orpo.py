"""KTO and ORPO on a tiny model: what is learned, and the curve after a resume."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from tests.helpers.method_runs import (
    WORDS,
    chat_rows,
    curve,
    last_evaluation,
    make_recipe,
    pair_rows,
    sit,
    values,
    warnings_of,
    write_rows,
)
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def label_rows(good: int = 20, bad: int = 20) -> list[dict[str, Any]]:
    """First all good rows, then all bad ones: an order that must not matter."""
    answers = [(WORDS[n % 8], True) for n in range(good)] + [(WORDS[n % 8].upper(), False) for n in range(bad)]
    return [{"prompt": f"Colour {n}?", "completion": text, "label": label} for n, (text, label) in enumerate(answers)]


def test_kto_learns_from_labels_and_survives_a_stop(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("kto", model_folder, kto={"beta": 0.5})
    whole = new_run_folder(write_rows(tmp_path / "whole", label_rows()), "kto")
    sit(recipe, whole)
    state = RunReader(whole).catch_up()
    assert state.result["metrics"]["loss"] < state.result["metrics"]["loss_before"] - 0.01
    assert last_evaluation(whole)["rewards/margins"] > 0.0
    assert {"kl", "logps/chosen", "rewards/margins"} <= set(last_evaluation(whole))
    assert len(values(whole, "logps/chosen")) > 9, "the rows were taken in the order of the file"

    broken = new_run_folder(write_rows(tmp_path / "broken", label_rows()), "kto")
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    for name in ("loss", "rewards/chosen", "kl"):
        assert curve(broken, name) == curve(whole, name)


def test_kto_takes_pairs_and_goes_on_from_a_run(model_folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, chat_rows(12))
    first = new_run_folder(tmp_path, "sft")
    sit(make_recipe("sft", model_folder, training={"max_steps": 3, "eval_steps": 3}), first)
    write_rows(tmp_path, pair_rows(12))
    short = {"max_steps": 2, "eval_steps": 2}
    second = new_run_folder(tmp_path, "kto")
    sit(make_recipe("kto", model_folder, start_from=f"run:{first.id}", training=short), second)
    assert values(second, "rewards/chosen")[0] == pytest.approx(0.0, abs=1e-6), "the start is not the reference"


def test_labels_must_be_of_both_kinds_and_uneven_ones_are_told(model_folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, label_rows(bad=0))
    with pytest.raises(EngineError, match="have the label true"):
        sit(make_recipe("kto", model_folder), new_run_folder(tmp_path, "kto"))
    write_rows(tmp_path, label_rows(good=30, bad=10))
    folder = new_run_folder(tmp_path, "kto")
    sit(make_recipe("kto", model_folder, training={"max_steps": 1}), folder)
    assert any("weights are uneven" in text for text in warnings_of(folder))


@pytest.mark.parametrize("adapter", [{"r": 8}, None])
def test_orpo_learns_and_survives_a_stop(model_folder: Path, tmp_path: Path, adapter: dict[str, Any] | None) -> None:
    rate = {"learning_rate": 1e-2 if adapter else 2e-3}
    recipe = make_recipe("orpo", model_folder, adapter=adapter, training=rate)
    whole = new_run_folder(write_rows(tmp_path / "whole", pair_rows()), "orpo")
    sit(recipe, whole)
    assert values(whole, "log_odds_ratio")[-1] > values(whole, "log_odds_ratio")[0]
    state = RunReader(whole).catch_up()
    assert state.result["metrics"]["loss"] < state.result["metrics"]["loss_before"]
    assert state.tokens and state.tokens > 1000

    broken = new_run_folder(write_rows(tmp_path / "broken", pair_rows()), "orpo")
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    for name in ("loss", "log_odds_ratio", "logps/chosen"):
        assert curve(broken, name) == curve(whole, name)
    assert RunReader(broken).catch_up().tokens == state.tokens


def test_a_short_last_batch_of_pairs_weighs_no_more_than_its_rows(model_folder: Path, tmp_path: Path) -> None:
    """Five held-out pairs in batches of four and one, and in one batch: the same figures before training."""
    figures = []
    for size in (4, 5):
        write_rows(write_rows(tmp_path / str(size), pair_rows(10)), pair_rows(5), "validation")
        folder = new_run_folder(tmp_path / str(size), "orpo")
        training = {"max_steps": 1, "eval_steps": 1, "per_device_train_batch_size": size}
        sit(make_recipe("orpo", model_folder, data={"validation": "data/validation.jsonl"}, training=training), folder)
        events = [event for event in read_json_lines(folder.events) if event["type"] == "evaluation"]
        figures.append({name: events[0]["metrics"][name] for name in ("rewards/margins", "log_odds_ratio", "nll_loss")})
    assert figures[0] == pytest.approx(figures[1], rel=1e-3)
