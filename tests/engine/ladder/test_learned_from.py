"""What has seen held-out rows is known for it: by its files, its events, the runs it builds on, or its prompt."""

import json
from pathlib import Path
from typing import Any

import pytest

import rung.engine.training.held_out_leaks as leakage
from rung.engine.core.files import read_json_lines, write_json_atomic
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.learned_from import learned_from_held_out, shown_held_out
from rung.engine.project.schema import FewShotSettings
from rung.engine.recipe.load import build_recipe, dump_recipe
from rung.engine.splits.make import freeze_files, refreeze
from tests.helpers.ladder_project import make_project, rows, write_rows
from tests.package.test_imports import HEAVY, loaded_after

HELD_OUT = "data/test.jsonl"
OVERRIDDEN = "Overridden (leaks): 2 held-out rows stand in more.jsonl too"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with frozen rows, none of them in two splits, and more.jsonl, which has two held-out rows."""
    make_project(tmp_path, tmp_path / "no-model-is-needed")
    freeze_files(tmp_path, {name: f"data/{name}.jsonl" for name in ("train", "validation", "test")})
    write_rows(tmp_path / "more.jsonl", [*rows(900, 5), *read_json_lines(tmp_path / HELD_OUT)[:2]])
    return tmp_path


def made_run(root: Path, number: int, train: str = "data/train.jsonl", **changes: Any) -> RunFolder:
    """A run as it lies on disk after training; `warning` is told in its events at the time `told`."""
    folder = RunFolder((root / "runs" / f"20261127-10000{number}-sft-000{number}").resolve())
    folder.path.mkdir(parents=True)
    warning, told = changes.pop("warning", None), changes.pop("told", 1.0)
    value = {"method": "sft", "model": {"name": "pocket"}, "data": {"train": train}, **changes}
    folder.recipe.write_text(dump_recipe(build_recipe(value, "the test's recipe")))
    if warning is not None:
        event = {"v": 1, "seq": 1, "time": told, "type": "warning", "message": warning, "details": "row 1"}
        folder.events.write_text(json.dumps(event) + "\n")
    return folder


def test_a_run_on_clean_rows_is_clean_whatever_it_overrides(project: Path) -> None:
    run = made_run(project, 1, overrides=["leaks"], warning="The model has no chat template")
    assert learned_from_held_out(project, run.id) is None
    assert learned_from_held_out(project, str(run.path)) is None
    assert learned_from_held_out(project, "no-such-run") is None


def test_a_file_that_holds_held_out_rows_marks_the_run(project: Path) -> None:
    run = made_run(project, 1, "more.jsonl")
    assert learned_from_held_out(project, run.id) == "learned from 2 held-out rows (more.jsonl)"


def test_rows_that_checkpoints_are_only_chosen_by_are_not_learned_from(project: Path) -> None:
    warning = "Overridden (leaks): 2 held-out rows stand in more.jsonl too"
    data = {"train": "data/train.jsonl", "validation": "more.jsonl"}
    run = made_run(project, 1, data=data, overrides=["leaks"], warning=warning)
    assert learned_from_held_out(project, run.id) is None


def test_what_was_overridden_stays_known_when_the_file_is_cleaned_or_gone(project: Path) -> None:
    run = made_run(project, 1, "more.jsonl", overrides=["leaks"], warning=OVERRIDDEN)
    write_rows(project / "more.jsonl", rows(900, 5))
    told = "learned from 2 held-out rows (more.jsonl, as it was then)"
    assert learned_from_held_out(project, run.id) == told
    (project / "more.jsonl").unlink()
    assert learned_from_held_out(project, run.id) == told


def test_other_held_out_rows_frozen_since_clear_a_run(project: Path) -> None:
    run = made_run(project, 1, "more.jsonl", overrides=["leaks"], warning=OVERRIDDEN)
    write_rows(project / HELD_OUT, rows(700, 8))
    refreeze(project)
    assert learned_from_held_out(project, run.id) is None
    (project / "more.jsonl").unlink()
    assert learned_from_held_out(project, run.id) is not None, "nobody can look any more"


@pytest.mark.parametrize("how", ["start_from", "combined", "base", "reward"])
def test_runs_that_build_on_it_inherit(project: Path, how: str) -> None:
    first = made_run(project, 1, "more.jsonl")
    second = made_run(project, 2, start_from=f"run:{first.id}")
    if how == "start_from":
        last = made_run(project, 3, start_from=f"run:{second.id}")
    elif how == "base":
        last = made_run(project, 3, model={"name": str(second.path / "model")})
    elif how == "reward":
        block = {"rewards": [{"name": "model", "run": second.id}]}
        last = made_run(project, 3, method="grpo", grpo=block)
    else:
        last = made_run(project, 3)
        write_json_atomic(last.path / "combined.json", {"how": "svd", "of": [{"run": second.id, "weight": 1.0}]})
    told = f"learned from 2 held-out rows (more.jsonl) by way of the run {first.id}"
    assert learned_from_held_out(project, last.id) == told
    assert learned_from_held_out(project, made_run(project, 4).id) is None


def test_a_run_that_starts_from_itself_ends(project: Path) -> None:
    assert learned_from_held_out(project, made_run(project, 1, start_from="run:20261127-100001-sft-0001").id) is None


def test_what_was_searched_is_not_searched_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made_run(project, 1, "more.jsonl")
    first = learned_from_held_out(project, run.id)
    monkeypatch.delattr(leakage, "leaks_between")
    assert first is not None and learned_from_held_out(project, run.id) == first


def test_examples_of_a_prompt_that_are_held_out_rows(project: Path) -> None:
    settings = make_project(project, project / "no-model-is-needed")
    assert shown_held_out(project, settings, FewShotSettings(k=12)) is None
    held_out = read_json_lines(project / HELD_OUT)
    write_rows(project / "data" / "train.jsonl", [*rows(0, 12), held_out[3]])
    found = shown_held_out(project, settings, FewShotSettings(k=13))
    assert found == "has 1 held-out row among the examples of its prompt"
    seeds = [shown_held_out(project, settings, FewShotSettings(k=1, seed=seed)) for seed in range(40)]
    assert None in seeds and any(seeds), "only where that row is drawn"
    nearest = shown_held_out(project, settings, FewShotSettings(k=1, selection="nearest"))
    assert nearest == "takes the examples of its prompt from data/train.jsonl, which has 1 held-out row"
    assert shown_held_out(project, settings, FewShotSettings()) is None, "zero-shot"


def test_the_screens_load_nothing_heavy_for_it() -> None:
    assert loaded_after("import rung.engine.ladder.learned_from") & HEAVY == set()
