"""Held-out rows in what a run learns from: found in every file that a recipe names, and refused wherever it starts."""

import json
from pathlib import Path
from typing import Any

import pytest

import rung.engine.training.held_out_leaks as leakage
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, read_json_lines, sha256_file, write_json_atomic
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.splits.make import find_leaks, freeze_files
from rung.engine.training.held_out_leaks import leak_refusals, project_leakage, recipe_leakage
from rung.recipes.demos import facts, format
from tests.helpers.ladder_project import make_project, rows, write_rows
from tests.package.test_imports import HEAVY, loaded_after

HELD_OUT = "data/test.jsonl"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with frozen rows, none of them in two splits."""
    make_project(tmp_path, tmp_path / "no-model-is-needed")
    freeze_files(tmp_path, {name: f"data/{name}.jsonl" for name in ("train", "validation", "test")})
    return tmp_path


def recipe(train: str = "data/train.jsonl", **data: Any) -> Recipe:
    return build_recipe(
        {"method": "sft", "model": {"name": "pocket"}, "data": {"train": train, **data}}, "the test's recipe"
    )


def reworded(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "question": row["question"].replace("Which", "What")}


def test_rows_that_are_no_ones_copy_are_no_leakage(project: Path) -> None:
    assert recipe_leakage(recipe(validation="data/validation.jsonl"), project) == []
    assert leak_refusals(recipe(), project) == {}


@pytest.mark.parametrize("change", [dict, reworded], ids=["verbatim", "nearly"])
def test_a_copy_is_found_in_the_file_that_the_recipe_names(project: Path, change: Any) -> None:
    test = read_json_lines(project / HELD_OUT)
    write_rows(project / "more.jsonl", [*rows(900, 5), change(test[2])])
    assert project_leakage(project, "data/train.jsonl", None) == [], "rung.yaml's own rows are clean"
    error = leak_refusals(recipe("more.jsonl"), project)["leaks"]
    assert error.message == "1 held-out row stands in more.jsonl too"
    assert error.details.startswith("data/test.jsonl row 3 is its row 6 (") and "colour has the" in error.details


def test_replayed_rows_and_folders_are_searched_too(project: Path) -> None:
    test = read_json_lines(project / HELD_OUT)
    write_rows(project / "general" / "a.jsonl", rows(900, 5))
    write_rows(project / "general" / "b.jsonl", test[:2])
    found = recipe_leakage(recipe(replay={"source": "general", "ratio": 0.1}), project)
    assert [(one.file, one.count) for one in found] == [("general", 2)]
    assert recipe_leakage(recipe(replay={"source": "builtin", "ratio": 0.1}), project) == []


def test_documents_to_learn_from_are_searched_for_questions(project: Path) -> None:
    question = read_json_lines(project / HELD_OUT)[0]["question"]
    (project / "texts").mkdir()
    (project / "texts" / "one.md").write_text("# A day\n\nNothing at all happened on that day. " * 20)
    assert recipe_leakage(recipe("texts"), project) == []
    (project / "texts" / "two.md").write_text(f"# Asked\n\nSomebody wrote: {question} And that was that.\n" * 2)
    assert [one.count for one in recipe_leakage(recipe("texts"), project)] == [1]


def test_of_validation_rows_only_copies_word_for_word_count(project: Path) -> None:
    test = read_json_lines(project / HELD_OUT)
    write_rows(project / "near.jsonl", [reworded(test[0])])
    write_rows(project / "same.jsonl", [test[0]])
    assert recipe_leakage(recipe(validation="near.jsonl"), project) == []
    (found,) = recipe_leakage(recipe(validation="same.jsonl"), project)
    assert (found.file, found.count) == ("same.jsonl", 1)


def test_the_sealed_final_rows_count_as_held_out(project: Path) -> None:
    final = rows(700, 4)
    write_rows(project / "data" / "final.jsonl", final)
    (project / "data" / "splits.json").unlink()
    names = ("train", "validation", "test", "final")
    freeze_files(project, {name: f"data/{name}.jsonl" for name in names})
    write_rows(project / "more.jsonl", [*rows(900, 5), final[1]])
    (found,) = recipe_leakage(recipe("more.jsonl"), project)
    assert (found.held_out, found.count) == ("data/final.jsonl", 1)


def test_before_anything_is_frozen_the_named_file_counts(project: Path) -> None:
    (project / "data" / "splits.json").unlink()
    assert [one.count for one in recipe_leakage(recipe(HELD_OUT), project)] == [8]


def test_a_recipe_outside_a_project_has_no_held_out_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "more.jsonl", rows(0, 5))
    assert recipe_leakage(recipe("more.jsonl"), tmp_path) == []


def test_the_same_files_are_searched_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recipe_leakage(recipe(HELD_OUT), project)
    assert len(read_json(project / leakage.MEMORY_FILE)) == 1
    monkeypatch.delattr(leakage, "leaks_between")
    assert recipe_leakage(recipe(HELD_OUT), project) == first
    write_rows(project / "more.jsonl", rows(0, 3))
    with pytest.raises(NameError):
        recipe_leakage(recipe("more.jsonl"), project)


@pytest.mark.parametrize("write", [facts.write, format.write])
def test_no_demo_is_refused_whatever_its_seed(tmp_path: Path, write: Any) -> None:
    for seed in range(4):
        spec = write(tmp_path / str(seed), seed)
        train, test = (read_json_lines(tmp_path / str(seed) / getattr(spec, name)) for name in ("train", "test"))
        assert find_leaks(train, test) == []


def test_the_screens_load_nothing_heavy_for_it() -> None:
    assert loaded_after("import rung.engine.training.held_out_leaks") & HEAVY == set()


def test_a_run_is_refused_and_goes_on_where_it_is_overridden(project: Path) -> None:
    from rung.engine.jobs.folder import new_run_folder
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.train import train
    from tests.helpers.tiny import make_tiny_model

    model = make_tiny_model(project / "model")
    write_rows(project / "more.jsonl", [*rows(900, 15), *read_json_lines(project / HELD_OUT)[:1]])
    value = {
        "method": "sft", "model": {"name": str(model)}, "data": {"train": "more.jsonl", "max_length": 128},
        "training": {"max_steps": 2, "per_device_train_batch_size": 4}, "probe": {"source": None},
        "samples": {"max_new_tokens": 1},
    }  # fmt: skip
    folder = new_run_folder(project, "sft")
    reporter = Reporter(folder.events)
    with pytest.raises(EngineError, match="1 held-out row stands in more.jsonl too") as told:
        train(build_recipe(value, "the test's recipe"), folder, project, reporter)
    assert "overrides=[leaks]" in told.value.hint
    train(build_recipe({**value, "overrides": ["leaks"]}, "the test's recipe"), folder, project, reporter)
    reporter.close()
    events = read_json_lines(folder.events)
    assert any(event["type"] == "warning" and "Overridden" in event["message"] for event in events)
    assert events[-1]["type"] == "finished", json.dumps(events[-1])


def test_a_find_in_splits_of_an_earlier_version_says_where_they_come_from(project: Path) -> None:
    record = read_json(project / "data" / "splits.json")
    test = read_json_lines(project / HELD_OUT)
    train = read_json_lines(project / "data" / "train.jsonl")
    write_rows(project / "data" / "train.jsonl", [*train, test[0]])
    split = record["splits"]["train"]
    split["sha256"] = sha256_file(project / "data" / "train.jsonl")
    write_json_atomic(project / "data" / "splits.json", record)
    said = "an earlier version of Rung made these splits"
    assert said not in leak_refusals(recipe(), project)["leaks"].details
    del record["measure"]
    write_json_atomic(project / "data" / "splits.json", record)
    assert said in leak_refusals(recipe(), project)["leaks"].details
    write_rows(project / "data" / "train.jsonl", [test[1]])
    assert said not in leak_refusals(recipe(), project)["leaks"].details, "the person changed the rows"


def test_columns_of_other_names_are_read_as_the_recipe_reads_them(project: Path) -> None:
    rows = read_json_lines(project / HELD_OUT)
    asked_alike = {"wondered": rows[0]["question"], "explained": "Nobody ever wrote down what it was like."}
    write_rows(project / "more.jsonl", [asked_alike])
    columns = {"question": "wondered", "answer": "explained"}
    (found,) = recipe_leakage(recipe("more.jsonl", columns=columns), project)
    assert "(same question)" in found.first[0]
