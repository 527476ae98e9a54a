"""A rung that fails is reported as that rung's failure: the climb goes on, and the same command tries it again."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rung.engine.ladder.answering as answering
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json
from rung.engine.jobs.events import Event
from rung.engine.ladder.jobs import run_evaluation
from rung.engine.ladder.spec import RUNGS, CandidateSpec
from rung.engine.project.load import load_project
from tests.helpers.ladder_project import climb, make_model, make_project, of_type, rows, write_rows


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def break_identity(monkeypatch: pytest.MonkeyPatch, error: Exception, applies: Callable[[CandidateSpec], bool]) -> None:
    """Candidates that `applies` names fail with `error`, as a fault of the program's own would make them."""
    real = answering.identify

    def identify(spec: CandidateSpec, *args: Any, **options: Any) -> Any:
        if applies(spec):
            raise error
        return real(spec, *args, **options)

    monkeypatch.setattr(answering, "identify", identify)


@pytest.mark.parametrize(
    "passage",
    ["The passage says so. " * 40, "# A heading\n\nof a passage in Markdown", "null\0byte"],
    ids=["longer than a file name", "begins like a heading", "null character"],
)
def test_the_text_of_a_passage_is_never_tried_as_a_path(tmp_path: Path, model: Path, passage: str) -> None:
    make_project(tmp_path, model)
    for name, start, count in (("train", 0, 12), ("validation", 12, 6), ("test", 18, 8)):
        write_rows(tmp_path / "data" / f"{name}.jsonl", [row | {"document": passage} for row in rows(start, count)])
    result = climb(tmp_path, rungs=("rag",))
    found = result["retrieval"]
    # It is no document's name, and stands in no document: of none of the questions a hit can be told.
    assert (found["definitions"], found["unknown"]) == ({}, 6)


def test_a_fault_of_the_program_in_one_rung_is_reported_and_the_climb_goes_on(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path, model, target=0.99)
    break_identity(monkeypatch, ValueError("a shape that nobody expected"), lambda spec: spec.rung == "prompt")
    events: list[Event] = []
    result = climb(tmp_path, rungs=("prompt", "rag"), events=events)
    assert [row["rung"] for row in result["scoreboard"]] == ["rag"]
    assert result["failed"].keys() == {"prompt"} and "prompt" not in result["skipped"]
    told = of_type(events, "rung_failed")[0]
    assert told.rung == "prompt" and told.fault
    assert "a fault of the program" in told.message and "ValueError: a shape that nobody expected" in told.details
    assert str(tmp_path / "evaluations" / "climb" / "worker.log") in told.hint
    assert "Traceback" in capsys.readouterr().err, "the log has the whole story"
    assert result["verdict"]["rung"] == "undecided"
    assert any("prompting failed: a fault of the program" in why for why in result["verdict"]["reasons"])
    assert read_json(tmp_path / "scoreboard.json")["failed"] == result["failed"]
    spec = CandidateSpec.model_validate(
        read_json(tmp_path / "candidates" / f"{result['scoreboard'][0]['candidate']}.spec.json")["spec"]
    )
    job = {"kind": "evaluate", "split": "test", "rows": None, "specs": [spec.model_dump()]}
    run_evaluation(tmp_path, load_project(tmp_path), job, events.append)
    board = read_json(tmp_path / "scoreboard.json")
    assert board["failed"] == result["failed"] and board["retrieval"] == result["retrieval"], "an evaluation keeps both"

    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    again = climb(tmp_path, rungs=("prompt", "rag"))
    assert [row["rung"] for row in again["scoreboard"]] == ["prompt", "rag"] and again["failed"] == {}
    assert again["scoreboard"][1]["candidate"] == result["scoreboard"][0]["candidate"], "what was measured stays"


def test_where_why_answers_fail_cannot_be_found_the_rung_is_measured_all_the_same(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, model)
    break_identity(monkeypatch, ValueError("only the diagnosis"), lambda spec: spec.gold_only)
    events: list[Event] = []
    result = climb(tmp_path, rungs=("prompt", "rag"), events=events)
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt", "rag"] and result["failed"] == {}
    assert "ValueError: only the diagnosis" in of_type(events, "warning")[-1].details


def test_where_every_rung_fails_the_climb_fails(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, model)
    break_identity(monkeypatch, ValueError("always"), lambda spec: True)
    with pytest.raises(ValueError, match="always"):
        climb(tmp_path, rungs=("prompt", "rag"))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interrupt_end_the_climb(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    make_project(tmp_path, model)
    break_identity(monkeypatch, error, lambda spec: spec.rung == "prompt")
    with pytest.raises(type(error)):
        climb(tmp_path, rungs=("prompt", "rag"))


def test_a_person_s_mistake_in_a_rung_is_told_as_it_is(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, model)
    error = EngineError("The passages can't be read", "documents/thing", "look at them")
    break_identity(monkeypatch, error, lambda spec: spec.rung == "rag")
    events: list[Event] = []
    result = climb(tmp_path, rungs=RUNGS[:2], events=events)
    told = of_type(events, "rung_failed")[0]
    assert (told.message, told.details, told.hint, told.fault) == (error.message, error.details, error.hint, False)
    assert result["failed"] == {"rag": "The passages can't be read. documents/thing"}
