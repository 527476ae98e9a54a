"""Replayed rows: how many, from where, the same after a resume."""

import json
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.data.shapes import Passage
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.training.replay import FOLDER, pick
from tests.engine.training.test_training import losses, recipe_for, sit, write_project
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def test_every_row_is_taken_before_one_is_taken_twice() -> None:
    pool = [Passage(str(number), "here", number) for number in range(5)]
    picked = pick(pool, 12, seed=0)
    assert len(picked) == 12
    assert {row.text for row in picked[:5]} == set("01234")
    assert pick(pool, 12, seed=0) == picked


def test_a_fifth_of_the_rows_is_replayed(model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path, rows=44)
    (root / "general.jsonl").write_text("".join(json.dumps({"text": f"General {n}"}) + "\n" for n in range(40)))
    (root / "validation.jsonl").write_text((root / "data" / "train.jsonl").read_text())
    data = {"validation": "validation.jsonl", "replay": {"source": "general.jsonl", "ratio": 0.2}}
    folder = new_run_folder(root, "sft")
    sit(recipe_for(model_folder, data=data, training={"num_train_epochs": 1}), folder)
    steps = RunReader(folder).catch_up().total_steps
    assert steps == 14, "44 rows and 11 replayed ones, four a step"


@pytest.mark.slow
def test_the_base_is_its_own_teacher_and_a_resume_trains_on_the_same_rows(model_folder: Path, tmp_path: Path) -> None:
    # A random model answers with line ends only; a little training makes it speak.
    taught = new_run_folder(write_project(tmp_path / "taught"), "sft")
    sit(recipe_for(model_folder, adapter=None, training={"max_steps": 20}), taught)
    recipe = recipe_for(
        taught.path / "model", data={"replay": {"source": "self", "ratio": 0.1}}, training={"max_steps": 8}
    )
    whole = new_run_folder(write_project(tmp_path / "whole"), "sft")
    sit(recipe, whole)
    rows = read_json_lines(whole.path / "replay.jsonl")
    assert [turn["role"] for turn in rows[0]["messages"]] == ["user", "assistant"]
    broken = new_run_folder(write_project(tmp_path / "broken"), "sft")
    sit(recipe, broken, stop_at=4)
    sit(recipe, broken)
    assert losses(broken) == losses(whole)


def test_replay_shares_nothing_with_the_probe() -> None:
    probe = set((FOLDER / "passages.txt").read_text().split("\n\n"))
    replay = set((FOLDER / "replay_passages.txt").read_text().split("\n\n"))
    assert len(probe) == 24 and len(replay) == 16 and not probe & replay


def test_a_method_that_takes_no_replay_says_so(model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path)
    rows = [{"prompt": f"q{n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(20)]
    (root / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipe_for(model_folder, method="dpo", data={"replay": {"source": "builtin", "ratio": 0.1}})
    with pytest.raises(EngineError, match="does not go with dpo"):
        sit(recipe, new_run_folder(root, "dpo"))
