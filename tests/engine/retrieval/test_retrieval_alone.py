"""Retrieval measured by itself, by a command; and what is told where the right passage isn't known."""

import json
from pathlib import Path
from typing import Any

import pytest

from rung.engine.check.search import measure_alone
from rung.engine.core.errors import EngineError
from rung.engine.ladder.answers import Answer
from rung.engine.ladder.jobs import REPORT_FILE
from rung.engine.ladder.local_answers import _what_is_left
from rung.engine.ladder.rag_rung import _held_right
from rung.engine.project.load import save_project
from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.index import Hit
from rung.engine.retrieval.quality import GoldQuestion
from rung.tui.cli import main
from tests.helpers.ladder_project import climb, make_model, make_project, rows, write_rows


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def test_the_command_measures_retrieval_on_the_validation_rows_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path, Path("no/such/model"))
    assert main(["eval", "--retrieval", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["questions"], found["rows"], found["split"]) == (6, 6, "validation")
    assert found["hit_at"].keys() == {"1", "3", "5", "10"} and found["hit_at"]["10"] == 1.0
    low, high = found["intervals"]["10"]
    assert 0 < low < high == 1.0 and 0 < found["mrr"] <= 1 and found["seconds_per_question"] > 0
    assert (found["files"], found["definitions"]) == (26, {"source": 6})
    assert not (tmp_path / "answers").exists() and not (tmp_path / "scoreboard.json").exists()
    assert main(["eval", "--retrieval"]) == 0
    printed = capsys.readouterr().out
    assert "retrieval alone, on 6 validation rows: 26 chunks of 26 files" in printed
    assert "hit@10 " in printed and "6 of 6" in printed and "MRR@10" in printed and "ms a question" in printed


def test_what_retrieval_alone_can_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = make_project(tmp_path, Path("no/such/model"))
    with pytest.raises(EngineError, match="--shots names a model"):
        main(["eval", "--retrieval", "--shots", "2"])
    save_project(tmp_path, project.model_copy(update={"documents": None}))
    with pytest.raises(EngineError, match="The project has no documents"):
        main(["eval", "--retrieval"])
    with pytest.raises(EngineError, match="The project has no documents"):
        measure_alone(tmp_path)


def test_where_a_hit_can_not_be_told_it_is_said_and_nothing_is_advised(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    save_project(tmp_path, project.model_copy(update={"data": project.data.model_copy(update={"gold": None})}))
    for name, start, count in (("train", 0, 12), ("validation", 12, 6), ("test", 18, 8)):
        told = [{**row, "answer": f"As far as I know it is a shade of {row['answer']}."} for row in rows(start, count)]
        write_rows(tmp_path / "data" / f"{name}.jsonl", told)
    result = climb(tmp_path)
    found = result["retrieval"]
    assert (found["questions"], found["unknown"], found["in_documents"]) == (0, 6, 0)
    assert "for 6 of 6 questions a hit can't be told" in found["described"] and "--gold" in found["described"]
    assert "fix_retrieval" not in [one["action"] for one in result["advice"]]
    report = (tmp_path / "evaluations" / "climb" / REPORT_FILE).read_text()
    assert "rung new --gold" in report and "was in the prompt for" not in report


# What the prompt held


class Fixed:
    def __init__(self, *chunks: Chunk) -> None:
        self._chunks = chunks

    def search(self, query: str, k: int) -> list[Hit]:
        return [Hit(chunk, 1.0, rank) for rank, chunk in enumerate(self._chunks[:k], start=1)]


def chunk(name: str, text: str) -> Chunk:
    return Chunk(name, f"{name}.md", 0, len(text), text)


def answered(*chunks: Chunk) -> Answer:
    held = [{"id": one.id, "source": one.label, "text": one.text} for one in chunks]
    return Answer("x", "hash", "it is teal", 10, 3, 0.1, "end", held)


def test_a_passage_that_was_found_and_cut_was_not_in_the_prompt() -> None:
    long, right = chunk("long", "A long text about other things. " * 5), chunk("right", "The wug is teal.")
    index, question = Fixed(long, right), GoldQuestion("q", "Which colour?", sources=("right.md",))
    assert _held_right(index, question, 2, answered(long, right))
    assert not _held_right(index, question, 2, answered(long)), "there was no room for it"
    assert not _held_right(index, question, 2, answered(long, chunk("right", ""))), "it was cut away with the turn"
    by_answer = GoldQuestion("q", "Which colour?", answers=("teal",))
    assert not _held_right(index, by_answer, 2, answered(long, chunk("right", "The wug …"))), "its end was cut"


def test_of_a_message_that_lost_its_beginning_the_passages_keep_what_is_left() -> None:
    first, second, third = chunk("1", "one two"), chunk("2", "three four"), chunk("3", "five six")
    whole = "Read this.\n\n[1] one two\n\n[2] three four\n\n[3] five six\n\nQuestion: which?"
    left = whole[whole.index(" four") :]
    assert [one.text for one in _what_is_left((first, second, third), whole, left)] == ["", " four", "five six"]
    assert _what_is_left((first, second), whole, whole) == (first, second)
