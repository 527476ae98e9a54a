"""Data sets of the hub, tried on folders that are laid out like one: splits, streaming, and what can't be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.hub import fetch_rows, local_source, training_source, validation_source
from rung.engine.data.read import read_rows
from rung.engine.recipe.schema import DataSettings

pytest.importorskip("datasets")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    root = tmp_path / "project"
    (root / "facts").mkdir(parents=True)
    for split, number in (("train", 5), ("test", 2)):
        lines = [json.dumps({"question": f"{split} {n}?", "answer": str(n)}) for n in range(number)]
        (root / "facts" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return root


def questions(path: Path) -> list[Any]:
    return [row.fields["question"] for row in read_rows(path)[0]]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_is_read_whole_or_its_first_rows(folder: Path, streaming: bool) -> None:
    facts = str(folder / "facts")
    assert questions(fetch_rows(facts, "train", streaming=streaming)) == [f"train {n}?" for n in range(5)]
    assert questions(fetch_rows(facts, "test", streaming=streaming, max_rows=1)) == ["test 0?"]


def test_a_recipe_names_split_and_validation_split(folder: Path) -> None:
    data = DataSettings(train="facts", split="train", validation_split="test", streaming=True, max_rows=3)
    assert questions(training_source(data, folder)) == ["train 0?", "train 1?", "train 2?"]
    chosen_on = validation_source(data, folder)
    assert chosen_on is not None and questions(chosen_on) == ["test 0?", "test 1?"]
    assert validation_source(DataSettings(train="facts"), folder) is None


def test_files_and_folders_without_a_split_are_read_as_they_are(folder: Path) -> None:
    data = DataSettings(train="facts")
    assert local_source("facts", folder, data) == folder / "facts"
    assert local_source("facts/test.jsonl", folder, data) == folder / "facts" / "test.jsonl"
    # Not there, and no hub id either: reading it says so.
    assert local_source("facts/gone.jsonl", folder, data) == folder / "facts" / "gone.jsonl"


def test_a_split_that_is_not_there_is_named_and_nothing_is_left_behind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="can't be read") as caught:
        fetch_rows(str(folder / "facts"), "dev")
    assert "split dev" in caught.value.details
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []
