"""Counterfactuals flip the demos' verdicts: nothing of their outcome is written down in advance."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import read_json_lines
from rung.engine.guide.demo import make_demo
from rung.engine.project.load import load_project, save_project
from rung.engine.splits.make import refreeze
from rung.recipes.demos import facts, format
from tests.helpers.ladder_project import write_rows
from tests.helpers.program import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.accept, pytest.mark.timeout(3_600)]
PATIENCE_SECONDS = 2_400.0
FEW, TOLD = 24, 4

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make("facts")` is the demo's project, `make("facts", shuffled=True)` its counterfactual; each is made once."""
    made: dict[tuple[str, bool], Path] = {}
    writers = {
        "facts": partial(facts.write, shuffle_documents=True),
        "format": partial(format.write, shuffle_answers=True),
    }

    def project(kind: str, shuffled: bool = False) -> Path:
        if (kind, shuffled) not in made:
            folder = tmp_path_factory.mktemp("demos") / kind
            with pytest.MonkeyPatch.context() as patch:
                if shuffled:
                    patch.setattr({"facts": facts, "format": format}[kind], "write", writers[kind])
                made[kind, shuffled] = make_demo(kind, folder)
        return made[kind, shuffled]

    return project


def climb(root: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-P", str(PROGRAM), "-C", str(root), "climb", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def chosen(result: dict[str, Any], rung: str) -> dict[str, Any]:
    return next(row for row in result["scoreboard"] if row["rung"] == rung and row["chosen"])


def test_shuffled_documents_take_the_win_of_retrieval_away(make: Make) -> None:
    target = ("--target", str(facts.TARGET))
    plain, shuffled = climb(make("facts"), *target), climb(make("facts", shuffled=True), *target)
    assert plain["verdict"]["rung"] == "rag", plain["verdict"]["reasons"]
    assert shuffled["verdict"]["rung"] != "rag", shuffled["verdict"]["reasons"]
    assert chosen(shuffled, "rag")["high"] < chosen(plain, "rag")["low"]


def test_shuffled_training_answers_take_the_win_of_tuning_away(make: Make) -> None:
    target = ("--target", str(format.TARGET))
    plain, shuffled = climb(make("format"), *target), climb(make("format", shuffled=True), *target)
    assert plain["verdict"]["rung"] == "tune", plain["verdict"]["reasons"]
    assert shuffled["verdict"]["rung"] != "tune", shuffled["verdict"]["reasons"]
    assert chosen(shuffled, "tune")["high"] < chosen(plain, "tune")["low"]


def test_an_impossible_target_gives_none(make: Make) -> None:
    # No number of right answers puts the whole interval at 1.
    result = climb(make("format"), "--target", "1.0")
    assert result["verdict"]["rung"] == "none" and result["verdict"]["candidate"] is None
    assert "every rung is shown to miss the target 1" in result["verdict"]["reasons"][0]


def test_rungs_that_differ_little_on_few_examples_are_undecided_with_a_number(make: Make, tmp_path: Path) -> None:
    """Documents that tell the truth about 4 of 24 questions: retrieval is truly better, by a little."""
    true = make("facts") / "documents"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "write", partial(facts.write, shuffle_documents=True))
        root = make_demo("facts", tmp_path / "few")
    asked = read_json_lines(root / "data" / "test.jsonl")
    told = _rows_told_of(asked, TOLD)
    for row in told:
        (root / "documents" / row["document"]).write_bytes((true / row["document"]).read_bytes())
    names = {row["document"] for row in told}
    # A value dealt out anew may come back to where it was; such rows would be told the truth too.
    others = [row for row in asked if row["document"] not in names and not _is_told(root, row)]
    write_rows(root / "data" / "test.jsonl", [*told, *others[: FEW - TOLD]])
    refreeze(root, reason="the test asks few questions")
    project = load_project(root)
    save_project(root, project.model_copy(update={"target": None}))
    result = climb(root, "--rung", "prompt", "--rung", "rag")
    prompt, rag = chosen(result, "prompt"), chosen(result, "rag")
    assert prompt["n"] == FEW and prompt["score"] < rag["score"] < prompt["score"] + 0.25
    assert result["verdict"]["rung"] == "undecided", result["verdict"]["reasons"]
    assert result["verdict"]["examples_needed"] > FEW
    assert result["verdict"]["start_from"] == "prompt" and result["verdict"]["candidate"] is None
    assert "held-out examples would settle it" in result["verdict"]["reasons"][0]


def _is_told(root: Path, row: dict[str, Any]) -> bool:
    document = (root / "documents" / row["document"]).read_text(encoding="utf-8")
    return str(row["messages"][-1]["content"]).casefold() in document.casefold()


def _rows_told_of(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first rows whose document answers no other row, so that one true document is one right answer."""
    asked_of = Counter(row["document"] for row in rows)
    return [row for row in rows if asked_of[row["document"]] == 1][:count]
