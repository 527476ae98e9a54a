"""Which column keeps rows together: passages and the like by name, long texts that repeat, never what is answered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import read_json, read_json_lines, write_json_atomic
from rung.engine.jobs.events import Event, Warned
from rung.engine.ladder.examples import group_count, load_split, read_examples
from rung.engine.ladder.held_out import held_out_examples
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectData
from rung.engine.splits.group_report import groups_in
from rung.engine.splits.grouping import best_column, group_columns, group_key, group_names
from rung.engine.splits.make import SplitPlan, freeze_files, make_splits, read_splits, refreeze
from rung.recipes.demos import preference
from rung.tui.wizard.work import split_rows
from tests.conftest import Ran
from tests.engine.splits.test_splits import SHARED_DATA, make_rows
from tests.helpers.ladder_project import make_project, write_rows
from tests.helpers.tiny import make_tiny_model

Rows = list[dict[str, Any]]


def question_rows(passages: int = 60, each: int = 5, column: str = "context") -> Rows:
    """Questions to passages of some 40 words, `each` of them to every one; four passages to a title."""
    texts = [row["question"] for row in make_rows(passages, seed=3, words=40)]
    asked = make_rows(passages * each, seed=4)
    return [
        {**row, column: texts[number // each], "title": f"Title {number // (4 * each)}"}
        for number, row in enumerate(asked)
    ]


def without(rows: Rows, *columns: str) -> Rows:
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


@pytest.mark.parametrize("column", ["context", "Passage", "paragraphText", "sourceDocument", "material", "input"])
def test_no_held_out_row_s_passage_is_in_training(tmp_path: Path, column: str) -> None:
    rows = without(question_rows(column=column), "title")
    made = make_splits(tmp_path, rows, SplitPlan())
    parts = {name: read_json_lines(tmp_path / split.file) for name, split in made.record.splits.items()}
    passages = {name: {row[column] for row in part} for name, part in parts.items()}
    assert not passages["test"] & (passages["train"] | passages["validation"]) and len(parts["test"]) == 60
    assert made.record.group_by == made.groups.column == column and made.groups.found and not made.groups.shared
    assert (made.groups.groups, made.groups.held_out_groups) == (60, len(passages["test"]))
    assert made.notes[0] == f"rows with the same {column} stay in one split: 60 groups, 12 of them held out"
    assert made.warnings == []
    counted = {name: split.groups for name, split in read_splits(tmp_path).splits.items()}
    assert counted == {name: len(values) for name, values in passages.items()} and counted["test"] == 12


def test_records_of_older_versions_have_no_number_of_groups(tmp_path: Path) -> None:
    make_splits(tmp_path, without(question_rows(), "title"), SplitPlan())
    path = tmp_path / "data" / "splits.json"
    value = read_json(path)
    for split in value["splits"].values():
        del split["groups"]
    write_json_atomic(path, value)
    assert {split.groups for split in read_splits(tmp_path).splits.values()} == {None}
    refreeze(tmp_path)
    assert read_splits(tmp_path).splits["test"].groups == 12


def test_without_groups_it_is_said_what_held_out_rows_share(tmp_path: Path) -> None:
    rows = without(question_rows(), "title")
    made = make_splits(tmp_path, rows, SplitPlan(find_groups=False))
    assert made.record.group_by is None and made.groups.shared == {"context": 60}
    assert made.warnings == ["60 of 60 held-out rows share their context with training rows (60 groups)"]


def test_of_title_and_passage_the_coarser_one_that_leaves_enough_groups(tmp_path: Path) -> None:
    few = make_splits(tmp_path / "few", question_rows(60), SplitPlan())  # 15 titles: 3 would be held out
    assert few.record.group_by == "context" and few.warnings == []
    assert "60 of 60 held-out rows share their title with training rows (15 groups)" in few.notes
    many = make_splits(tmp_path / "many", question_rows(240, 2), SplitPlan())  # 60 titles: 12 are held out
    assert many.record.group_by == "title" and many.groups.shared == {}


def test_a_column_that_ties_few_rows_does_not_stand_for_one_that_ties_many() -> None:
    rows = [{**row, "document": f"d{i // 7}", "url": f"u{max(i, 1)}"} for i, row in enumerate(make_rows(300))]
    columns = group_columns(rows)
    assert [(column.name, column.groups, column.sharing_rows) for column in columns] == [
        ("document", 43, 300), ("url", 299, 2),
    ]  # fmt: skip
    best = best_column(columns, 300, 0.2)
    assert best is not None and best.name == "document"


def test_too_few_or_too_large_groups_are_told(tmp_path: Path) -> None:
    rows = make_rows(300)
    few = make_splits(tmp_path / "few", [{**row, "source": "abc"[i % 3]} for i, row in enumerate(rows)], SplitPlan())
    assert few.record.group_by is None
    told = "60 of 60 held-out rows share their source with training rows: "
    assert few.warnings == [told + "3 groups are too few to split by (12 at least)"]
    large = [{**row, "user": "all" if i < 150 else f"u{i // 2}"} for i, row in enumerate(rows)]
    (said,) = make_splits(tmp_path / "large", large, SplitPlan()).warnings
    assert said.endswith("one of its groups has 150 of 300 rows, too many to split by")
    session = [{**row, "sessionId": i // 15} for i, row in enumerate(rows)]
    held = make_splits(tmp_path / "session", session, SplitPlan())
    assert held.record.group_by == "sessionId" and held.warnings[0].startswith(
        "only 4 groups of sessionId are held out"
    )


@pytest.mark.parametrize(
    "extra",
    [
        {"expected_output": "LONG"}, {"agentResponse": "LONG"}, {"label": "LONG"}, {"system": "LONG"},
        {"input": ""}, {"instruction": "Sum up the text."}, {"category": "NUMBER"}, {"paragraph": 3}, {"source": "all"},
    ],
    ids=lambda extra: next(iter(extra)),
)  # fmt: skip
def test_answers_instructions_and_constants_are_no_groups(extra: dict[str, Any]) -> None:
    texts = [row["question"] for row in make_rows(100, seed=8, words=40)]
    rows = []
    for number, row in enumerate(make_rows(300)):
        ((name, value),) = extra.items()
        repeated = {"LONG": texts[number // 3], "NUMBER": f"c{number // 3}"}
        rows.append({**row, name: repeated.get(value, number % 30 if value == 3 else value)})
    assert group_columns(rows) == []


def test_no_demo_s_rows_are_divided_by_what_is_accepted_as_an_answer(tmp_path: Path) -> None:
    spec = preference.write(tmp_path, 0)
    rows = read_json_lines(tmp_path / spec.train)
    assert isinstance(rows[0]["true"], list) and group_columns(rows) == []
    assert [column.name for column in group_columns([{**row, "context": row["true"]} for row in rows])] == ["context"]


def test_a_climb_on_files_of_one_s_own_tells_what_they_share(tmp_path: Path) -> None:
    project = make_project(tmp_path, tmp_path / "no-model")
    for name in ("train", "validation", "test"):
        path = tmp_path / "data" / f"{name}.jsonl"
        lines = [{**row, "session": number % 4} for number, row in enumerate(read_json_lines(path))]
        write_rows(path, lines)
    told: list[Event] = []
    held_out_examples(tmp_path, project, told.append)
    assert told == [Warned("8 of 8 held-out rows share their session with training rows")]
    held_out_examples(tmp_path, project, told.append)
    assert len(told) == 1, "told when they are frozen"


def test_rows_without_a_value_stand_alone(tmp_path: Path) -> None:
    rows = without(question_rows(), "title")
    for number, row in enumerate(rows):
        row["context"] = [row["context"], None, ""][number % 3 if number % 5 > 2 else 0]
    made = make_splits(tmp_path, rows, SplitPlan())
    assert made.record.group_by == "context" and made.groups.groups == groups_in(rows, "context") > 60


def test_a_long_text_is_the_same_however_it_is_written() -> None:
    text = "The Panthers gave up just 308 points, " * 4
    assert group_key(text) == group_key(f"  {text.upper()}\n") != group_key(text + "more")
    named = group_names(
        [{"context": text}, {"context": f"{text} "}, {"context": None}, {}, {"context": "b"}], "context"
    )
    assert named[0] == named[1] and len(named[0]) == 16 and named[2:] == ["row 3", "row 4", "b"]
    assert group_key("A1") != group_key("a1") and group_key(7) == "7" and group_key(None) == ""


def test_what_a_given_held_out_file_shares_with_training_is_told(tmp_path: Path) -> None:
    rows = without(question_rows(), "title")
    for name, part in {"train": rows[::2], "test": rows[1::2]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    made = freeze_files(tmp_path, {"train": "train.jsonl", "test": "test.jsonl"})
    assert made.record.group_by is None and made.groups.shared == {"context": 150}
    assert made.warnings == ["150 of 150 held-out rows share their context with training rows (60 groups)"]


def test_the_command_says_which_column_it_used_and_how_to_change_it(cli: Callable[..., Ran], tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", context=128, chat_template=None)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in question_rows()))
    new = ("new", "--model", model, "--train", file)
    made = cli(*new, tmp_path / "found")
    assert made.code == 0 and "rows with the same context stay in one split: 60 groups, 12 of them held out" in made.err
    assert "--group-by COLUMN keeps rows together by another column" in made.err
    assert load_project(tmp_path / "found").data.group_by == "context"
    told = json.loads(cli(*new, tmp_path / "json", "--json").out)
    assert told["groups"] == {
        "column": "context", "groups": 60, "held_out_groups": 12, "found": True, "shared": {"title": 60},
        "change": "--group-by COLUMN keeps rows together by another column, --group-by none by none",
    }  # fmt: skip
    assert told["rows"] == {"train": 210, "validation": 30, "test": 60} and told["recipe"] == "recipes/sft.yaml"
    assert told["project"] == str((tmp_path / "json").resolve())
    own = json.loads(cli(*new, tmp_path / "own", "--json", "--group-by", "title").out)
    assert (own["groups"]["column"], own["groups"]["found"], own["groups"]["held_out_groups"]) == ("title", False, 3)
    none = cli(*new, tmp_path / "none", "--group-by", "none")
    assert "warning: 60 of 60 held-out rows share their context with training rows" in none.err


@pytest.mark.parametrize(("group_by", "used"), [(None, "context"), ("title", "title"), ("none", None)])
def test_the_wizard_s_page_splits_alike(tmp_path: Path, group_by: str | None, used: str | None) -> None:
    from rung.engine.project.load import save_project
    from rung.engine.project.schema import ProjectSettings
    from rung.engine.recipe.schema import ModelSettings

    data = ProjectData(group_by=group_by)
    save_project(tmp_path, ProjectSettings(name="p", model=ModelSettings(name="pocket"), data=data))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in question_rows()))
    told = split_rows(tmp_path, Path("rows.jsonl"))
    assert load_project(tmp_path).data.group_by == used
    assert any(f"rows with the same {used} stay in one split" in line for line in told) == (used is not None)
    assert any("held-out rows share their context" in line for line in told) == (used is None)
    # Rows count as the split was made, also where rung.yaml has lost the column since.
    for column in (used, None, "none"):
        settings = load_project(tmp_path)
        settings = settings.model_copy(update={"data": settings.data.model_copy(update={"group_by": column})})
        count = group_count(load_split(tmp_path, settings, "test").examples)
        assert count == read_splits(tmp_path).splits["test"].groups and (count is None) == (used is None)


def test_columns_that_the_project_maps_to_answers_are_no_groups(tmp_path: Path) -> None:
    from rung.engine.guide.new import split_into

    texts = [row["question"] for row in make_rows(100, seed=8, words=40)]
    rows = [{"body": row["question"], "verse": texts[i // 3], "kb": i // 4} for i, row in enumerate(make_rows(300))]
    mapped = ProjectData(columns={"prompt": "body", "completion": "verse"}, gold="kb")
    assert split_into(tmp_path / "a", rows, mapped, SplitPlan(), {}).record.group_by == "kb"
    assert split_into(tmp_path / "b", without(rows, "kb"), mapped, SplitPlan(), {}).record.group_by is None
    assert make_splits(tmp_path / "c", rows, SplitPlan()).record.group_by == "verse"


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="no shared data")
def test_real_data_are_grouped_by_their_passages_or_not_at_all(tmp_path: Path) -> None:
    articles = json.loads((SHARED_DATA / "xquad-en" / "xquad.en.json").read_text())["data"]
    squad = [
        {"id": asked["id"], "title": article["title"], "context": passage["context"], "question": asked["question"],
         "answers": {"text": [answer["text"] for answer in asked["answers"]]}}
        for article in articles for passage in article["paragraphs"] for asked in passage["qas"]
    ]  # fmt: skip
    flat = [{**without([row], "title", "answers")[0], "answer": row["answers"]["text"][0]} for row in squad]
    for name, rows in {"squad": squad, "flat": flat}.items():
        made = make_splits(tmp_path / name, rows, SplitPlan())
        assert (made.record.group_by, made.groups.groups, made.groups.held_out_groups) == ("context", 240, 52)
    alpaca = json.loads((SHARED_DATA / "raschka-instruct-1100" / "instruction-data.json").read_text())
    lines = ("oasst-100trees/sft_messages.jsonl", "oasst-100trees/pref_pairs.jsonl", "gsm8k/test.jsonl")
    for others in (alpaca, *(read_json_lines(SHARED_DATA / file) for file in lines)):
        assert group_columns(others) == []


def test_examples_are_counted_by_the_groups_that_the_split_kept_together(tmp_path: Path) -> None:
    rows = without(question_rows(8, 3), "title")
    rows[1]["context"] = rows[0]["context"].upper()
    for place, nothing in ((3, None), (6, ""), (9, "")):
        rows[place]["context"] = nothing
    write_rows(tmp_path / "test.jsonl", rows)
    examples = read_examples(tmp_path / "test.jsonl", ProjectData(group_by="context")).examples
    assert examples[0].group == examples[1].group != examples[4].group == examples[5].group
    assert group_count(examples) == 8 + 3 == groups_in(rows, "context"), "three have no passage: each stands alone"
    assert group_count(read_examples(tmp_path / "test.jsonl", ProjectData(group_by="none")).examples) is None
