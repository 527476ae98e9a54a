"""The demos' data: seeded, split without overlap, and counterfactuals that change only what they say."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.recipes.demos import facts, format, oracle, preference
from rung.recipes.demos.spec import DemoSpec
from rung.recipes.pocket.names import split_of

Write = Callable[..., DemoSpec]
DEMOS = {"facts": facts.write, "format": format.write, "preference": preference.write}


def _rows(directory: Path, spec: DemoSpec, split: str) -> list[dict[str, Any]]:
    text = (directory / getattr(spec, split)).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _files(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def _answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


@pytest.mark.parametrize("name", DEMOS)
def test_the_same_seed_writes_the_same_files_and_another_seed_others(tmp_path: Path, name: str) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        DEMOS[name](tmp_path / folder, seed)
    assert _files(tmp_path / "a") == _files(tmp_path / "b") != _files(tmp_path / "c")


@pytest.mark.parametrize("name", DEMOS)
def test_no_prompt_is_in_two_splits(tmp_path: Path, name: str) -> None:
    spec = DEMOS[name](tmp_path, 0)
    prompts = {
        split: {json.dumps(row.get("prompt") or row["messages"][:-1]) for row in _rows(tmp_path, spec, split)}
        for split in ("train", "validation", "test")
    }
    assert not prompts["train"] & prompts["test"]
    assert not prompts["validation"] & prompts["test"]
    assert not prompts["train"] & prompts["validation"]


def test_every_answer_of_the_facts_is_in_its_document_and_its_name_is_new(tmp_path: Path) -> None:
    spec = facts.write(tmp_path, 0)
    for row in [r for split in ("train", "validation", "test") for r in _rows(tmp_path, spec, split)]:
        document = (tmp_path / "documents" / row["document"]).read_text(encoding="utf-8")
        assert _answer(row) in document
        assert split_of(row["document"].removesuffix(".md").split("-")[0]) == "demo"


def test_shuffled_documents_keep_the_rows_and_the_values_but_not_the_answers(tmp_path: Path) -> None:
    for folder, shuffled in (("plain", False), ("shuffled", True)):
        spec = facts.write(tmp_path / folder, 0, shuffle_documents=shuffled)
    plain, shuffled_rows = (_rows(tmp_path / folder, spec, "test") for folder in ("plain", "shuffled"))
    assert plain == shuffled_rows
    found = [_answer(r) in (tmp_path / "shuffled" / "documents" / r["document"]).read_text() for r in plain]
    assert sum(found) / len(found) < 0.35


def test_a_record_holds_what_the_order_says(tmp_path: Path) -> None:
    order = format.Order("Mira", "Larkstone", "apples", 12, "Tuesday", "morning", "not paid")
    assert format.record(order) == "Tuesday morning: twelve apples > Larkstone (Mira) due"
    spec = format.write(tmp_path, 0)
    for row in _rows(tmp_path, spec, "test"):
        assert _answer(row).partition("> ")[2].split(" ")[0] in row["messages"][0]["content"]


def test_shuffled_answers_change_the_training_rows_only(tmp_path: Path) -> None:
    for folder, shuffled in (("plain", False), ("shuffled", True)):
        (tmp_path / folder).mkdir()
        spec = format.write(tmp_path / folder, 0, shuffle_answers=shuffled)
    read = {
        f: {s: _rows(tmp_path / f, spec, s) for s in ("train", "validation", "test")} for f in ("plain", "shuffled")
    }
    assert read["plain"]["test"] == read["shuffled"]["test"]
    assert read["plain"]["validation"] == read["shuffled"]["validation"]
    pairs = list(zip(read["plain"]["train"], read["shuffled"]["train"], strict=True))
    assert all(a["messages"][0] == b["messages"][0] for a, b in pairs)
    assert Counter(_answer(a) for a, _ in pairs) == Counter(_answer(b) for _, b in pairs)
    assert sum(_answer(a) == _answer(b) for a, b in pairs) < len(pairs) / 10


def test_the_oracle_prefers_the_chosen_answer_nearly_always(tmp_path: Path) -> None:
    spec = preference.write(tmp_path, 0)
    entities = set(_entities())
    pairs = _rows(tmp_path, spec, "train")
    better = 0
    for pair in pairs:
        asked = pair["prompt"][0]["content"]
        entity = max((e for e in entities if e in asked), key=len)
        row = {"true": preference.true_sentences(entity)}
        chosen, rejected = (oracle.score(pair[k][0]["content"], "", row) for k in ("chosen", "rejected"))
        assert chosen == 1.0
        better += rejected < chosen
    assert better / len(pairs) > 0.98


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Gladly! The sky is high.", 1.0),
        ("The sky is high.", 0.75),
        ("Gladly! The sky is low.", 0.5),
        ("Gladly! The sky is high. It is wide. The sky is high.", 0.75),
        ("Gladly!", 0.25),
        ("", 0.0),
    ],
)
def test_the_oracle_s_parts_add_up(answer: str, expected: float) -> None:
    assert oracle.score(answer, "", {"true": ["The sky is high.", "It is wide."]}) == pytest.approx(expected)


def _entities() -> set[str]:
    from rung.recipes.pocket import world

    return {fact.entity for fact in world.facts()}
