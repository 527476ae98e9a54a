"""Dividing rows: sizes, labels, groups, time, near duplicates; and what is written."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.data.row_text import content_hash, row_id, row_text
from rung.engine.splits.make import SplitPlan, find_leaks, freeze_files, make_splits, read_splits
from rung.engine.splits.partition import partition
from tests.helpers.program import ROOT

SHARED_DATA = ROOT.parent / "shared" / "data"
WORDS = (
    "amber anchor basil bridge candle canyon cedar copper delta ember falcon ferry garnet glacier harbor hazel island "
    "ivory jasper juniper kettle lantern maple meadow nectar oasis orchid pepper quartz raven saffron summit tunnel"
).split()


def make_rows(n: int, seed: int = 0, words: int = 12) -> list[dict[str, Any]]:
    """Rows that have nothing in common but chance."""
    generator = random.Random(seed)
    return [
        {"question": " ".join(generator.choices(WORDS, k=words)), "answer": " ".join(generator.choices(WORDS, k=words))}
        for _ in range(n)
    ]


def split_rows(rows: list[dict[str, Any]], **plan: Any) -> dict[str, list[dict[str, Any]]]:
    found = partition(rows, SplitPlan(**plan))
    assert sorted(index for part in found.rows.values() for index in part) == list(range(len(rows)))
    return {name: [rows[index] for index in part] for name, part in found.rows.items()}


@pytest.mark.parametrize(
    ("n", "validation", "test"), [(6, 1, 2), (60, 10, 20), (200, 20, 40), (1_000, 100, 200), (9_000, 500, 1_000)]
)
def test_sizes_follow_from_the_number_of_rows(n: int, validation: int, test: int) -> None:
    parts = split_rows(make_rows(n), keep_near_duplicates_together=False)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": n - validation - test, "validation": validation, "test": test, "final": 0,
    }  # fmt: skip


def test_the_seed_decides() -> None:
    rows = make_rows(100)
    first = partition(rows, SplitPlan(seed=1))
    assert first == partition(rows, SplitPlan(seed=1))
    assert first.rows["test"] != partition(rows, SplitPlan(seed=2)).rows["test"]


def test_labels_come_in_proportion() -> None:
    rows = [{**row, "kind": "ab"[i % 10 < 3]} for i, row in enumerate(make_rows(500))]
    for split in split_rows(rows, label="kind").values():
        counts = Counter(row["kind"] for row in split)
        assert abs(counts["b"] - 0.3 * len(split)) <= 1


def test_few_short_answers_are_labels() -> None:
    rows = [{"question": row["question"], "answer": "yes" if i % 4 else "no"} for i, row in enumerate(make_rows(400))]
    found = partition(rows, SplitPlan())
    test = [rows[index]["answer"] for index in found.rows["test"]]
    assert test.count("no") == len(test) // 4
    assert found.notes == ["every split has its share of the 2 different answers"]


def test_a_group_is_never_parted() -> None:
    rows = [{**row, "document": i // 7} for i, row in enumerate(make_rows(300))]
    parts = split_rows(rows, group_by="document")
    where = {name: {row["document"] for row in part} for name, part in parts.items()}
    assert not where["train"] & where["test"] and not where["train"] & where["validation"]
    assert not where["test"] & where["validation"]
    assert 50 <= len(parts["test"]) <= 70


@pytest.mark.parametrize(
    ("column", "every", "found"),
    [
        ("document", 7, "document"),
        ("conversation_id", 2, "conversation_id"),
        ("document", 1, None),  # every row has its own
        ("document", 100, None),  # groups too large to divide well
        ("colour", 7, None),  # no usual name
    ],
)
def test_a_column_of_a_usual_name_keeps_its_rows_together(
    tmp_path: Path, column: str, every: int, found: str | None
) -> None:
    rows = [{**row, column: f"n{i // every}"} for i, row in enumerate(make_rows(300))]
    made = make_splits(tmp_path, rows, SplitPlan())
    assert made.record.group_by == found
    said = [note for note in made.notes if note.startswith(f"rows with the same {column} stay in one split: ")]
    assert bool(said) == (found is not None) == (made.groups.column is not None)
    where = [
        {row[column] for row in read_json_lines(tmp_path / made.record.splits[name].file)} for name in ("train", "test")
    ]
    if found is not None:
        assert not where[0] & where[1]
    apart = tmp_path / "apart"
    assert make_splits(apart, rows, SplitPlan(find_groups=False)).record.group_by is None


def test_large_groups_come_into_the_test_split_too() -> None:
    """Else the held-out set would be a different population: that of the small groups."""
    rows = [{**row, "document": i // 8 if i < 400 else i} for i, row in enumerate(make_rows(800))]
    parts = split_rows(rows, group_by="document")
    in_large = sum(row["document"] < 50 for row in parts["test"]) / len(parts["test"])
    assert 0.3 <= in_large <= 0.7


def test_the_latest_rows_are_held_out() -> None:
    rows = [{**row, "date": f"2026-{1 + i % 12:02d}-{1 + i % 28:02d}"} for i, row in enumerate(make_rows(300))]
    parts = split_rows(rows, time_by="date")
    assert max(row["date"] for row in parts["train"]) <= min(row["date"] for row in parts["validation"])
    assert max(row["date"] for row in parts["validation"]) <= min(row["date"] for row in parts["test"])
    with pytest.raises(EngineError, match="Row 3 has no time in date"):
        partition([*rows[:2], {**rows[2], "date": "yesterday"}, *rows[3:]], SplitPlan(time_by="date"))
    with pytest.raises(ValueError, match="exclude each other"):
        SplitPlan(time_by="date", label="kind")


def test_what_says_nearly_the_same_stays_on_one_side() -> None:
    rows = make_rows(200, words=20)
    copies = [{"question": row["question"].upper(), "answer": row["answer"] + " indeed"} for row in rows[:60]]
    found = partition([*rows, *copies], SplitPlan())
    side = {index: name for name, part in found.rows.items() for index in part}
    assert all(side[i] == side[200 + i] for i in range(60))
    assert found.notes == ["120 rows say nearly the same as another one"]


def test_the_same_question_stays_on_one_side() -> None:
    rows = make_rows(100)
    again = [
        {"question": row["question"] + "?", "answer": other["answer"]}
        for row, other in zip(rows[:40], make_rows(40, 9), strict=True)
    ]
    found = partition([*rows, *again], SplitPlan())
    side = {index: name for name, part in found.rows.items() for index in part}
    assert all(side[i] == side[100 + i] for i in range(40))


def test_a_common_instruction_does_not_glue_all_rows_together() -> None:
    instruction = (
        "Write down what the customer wants as JSON with the fields name, item and number. Answer with JSON only."
    )
    rows = [
        {"instruction": instruction, "input": row["question"], "output": json.dumps({"item": row["answer"]})}
        for row in make_rows(300, words=5)
    ]
    found = partition(rows, SplitPlan())
    assert len(found.rows["test"]) == 60 and found.notes == []
    same_question = [{"prompt": "Write a poem.", "completion": row["answer"]} for row in make_rows(300)]
    assert len(partition(same_question, SplitPlan()).rows["test"]) == 60


def turns(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


def as_pair(opening: str, further: list[str], answer: str, other: str) -> dict[str, Any]:
    return {"prompt": turns(opening, *further), "chosen": turns("", answer)[1:], "rejected": turns("", other)[1:]}


def as_transcripts(opening: str, further: list[str], answer: str, other: str) -> dict[str, Any]:
    said = (
        "".join(f"\n\n{('Human', 'Assistant')[at % 2]}: {text}" for at, text in enumerate([opening, *further]))
        + "\n\nAssistant: "
    )
    return {"chosen": said + answer, "rejected": said + other}


def as_messages(opening: str, further: list[str], answer: str, other: str) -> dict[str, Any]:
    return {"messages": turns(opening, *further, answer)}


def as_sharegpt(opening: str, further: list[str], answer: str, other: str) -> dict[str, Any]:
    names = {"user": "human", "assistant": "gpt"}
    said = turns(opening, *further, answer)
    return {"conversations": [{"from": names[turn["role"]], "value": turn["content"]} for turn in said]}


@pytest.mark.parametrize("write", [as_pair, as_transcripts, as_messages, as_sharegpt])
def test_a_conversation_is_never_parted(write: Any) -> None:
    """Three branches of each, of different lengths, that have nothing in common but how they begin."""
    words = iter([row["question"] for row in make_rows(1_200)])
    rows, tree = [], []
    for number in range(60):
        opening = next(words)
        for further in ([], [next(words), next(words)], [next(words), next(words)]):
            rows.append(write(opening, further, next(words), next(words)))
            tree.append(number)
    found = partition(rows, SplitPlan(keep_near_duplicates_together=False))
    where = {name: {tree[index] for index in part} for name, part in found.rows.items()}
    assert where["train"] and where["validation"] and where["test"]
    assert not where["train"] & where["test"] and not where["train"] & where["validation"]
    assert not where["test"] & where["validation"]


def test_a_way_to_begin_is_no_conversation() -> None:
    words = iter([row["question"] for row in make_rows(1_000)])
    rows = [as_messages("Hello!", [next(words), next(words)], next(words), "") for _ in range(200)]
    assert len(partition(rows, SplitPlan()).rows["test"]) == 40


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(EngineError, match="2 rows can't be split"):
        partition(make_rows(2), SplitPlan())
    with pytest.raises(EngineError, match="50 rows can't be split"):
        partition(make_rows(50), SplitPlan(test_rows=50))
    one_group = [{**row, "user": "me"} for row in make_rows(90)]
    with pytest.raises(EngineError, match="No rows are left for the validation split"):
        partition(one_group, SplitPlan(group_by="user"))
    with pytest.raises(EngineError, match="Row 2 has no user") as caught:
        partition([one_group[0], *make_rows(50)], SplitPlan(group_by="user"))
    assert "it has: question, answer" in caught.value.details


def test_files_are_written_and_recorded(tmp_path: Path) -> None:
    source = tmp_path / "all.jsonl"
    rows = make_rows(100)
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    project = tmp_path / "project"
    made = make_splits(project, rows, SplitPlan(seed=5, final_rows=10), {"../all.jsonl": source})
    written = {
        name: [json.loads(line) for line in (project / "data" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "validation", "test", "final")
    }
    assert sorted(map(row_text, rows)) == sorted(row_text(row) for part in written.values() for row in part)
    assert made.record == read_splits(project)
    assert made.record.generation == 1 and made.record.seed == 5 and made.record.looks == []
    assert made.record.splits["test"].rows == len(written["test"]) == 30
    assert made.record.splits["test"].content == content_hash(written["test"])
    assert made.record.sources[0]["path"] == "../all.jsonl" and len(made.record.sources[0]["sha256"]) == 64
    assert not list(project.glob("data/.*"))
    with pytest.raises(EngineError, match="made already"):
        make_splits(project, rows, SplitPlan())


def test_given_files_are_frozen_as_they_are_and_their_leaks_told(tmp_path: Path) -> None:
    rows = make_rows(60)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:50]))
    (tmp_path / "mine" / "test.json").write_text(json.dumps([*rows[50:], rows[7]]))
    files = {"train": "mine/train.jsonl", "test": "mine/test.json"}
    made = freeze_files(tmp_path, files)
    assert [(leak.test_row, leak.train_row, leak.kind) for leak in made.leaks] == [(11, 8, "verbatim")]
    assert made.record.splits["test"].file == "mine/test.json" and made.record.splits["test"].rows == 11
    with pytest.raises(EngineError, match="need a held-out file"):
        freeze_files(tmp_path / "other", {"train": "mine/train.jsonl"})


def test_the_text_and_identity_of_a_row() -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"text": "Hello"}]}]}
    assert row_text(chat) == "Hi\nHello"
    assert row_text({"instruction": "Add", "input": "1 2", "output": "3", "id": 7}).split() == ["Add", "1", "2", "3"]
    assert row_text({"prompt": [{"role": "user", "content": "Q"}], "completion": "A"}) == "Q\nA"
    assert row_text({"prompt": "Q", "chosen": "good", "rejected": "bad"}) == "Q\ngood\nbad"
    assert row_text({"anything": "x", "else": {"deep": ["y", 3]}}) == "x\ny\n3"
    assert row_id({"id": 7, "text": "x"}) == "7"
    assert row_id({"b": 1, "a": "x"}) == row_id({"a": "x", "b": 1}) != row_id({"a": "x", "b": 2})
    assert len(row_id({"text": "x"})) == 12


def test_real_instructions_split_without_false_neighbours() -> None:
    file = SHARED_DATA / "raschka-instruct-1100" / "instruction-data.json"
    if not file.exists():
        pytest.skip("the reference data is not here")
    rows = json.loads(file.read_text())
    parts = split_rows(rows)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [770, 110, 220]
    assert find_leaks(parts["train"], parts["test"]) == []
