"""`rung check DATA` and the worker behind the Data screen: what they say of rows under a model's tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.check.check import data_question, project_question
from rung.engine.check.check_data import CheckedData, answer
from rung.engine.check.data_browser import DataBrowser
from rung.engine.core.errors import EngineError
from rung.engine.data.pairs import load_pairs
from rung.engine.data.report import group_of
from rung.engine.guide.wizard import change_project
from rung.engine.models.load import load_tokenizer
from rung.engine.recipe.schema import ModelSettings
from rung.engine.training.rows import hold_out
from tests.conftest import Ran
from tests.helpers.ladder_project import make_project, write_rows
from tests.helpers.tiny import make_tiny_model

KEY = "sk-" + "a1b2" * 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows: list[dict[str, Any]] = [{"q": f"Which colour has the number {n}?", "a": f"It is red {n}."} for n in range(6)]
    rows += [{"q": "Long?", "a": "x" * 300}, {"q": "Key?", "a": f"It is {KEY}"}, {"q": "None?"}, rows[0]]
    write_rows(tmp_path / "rows.jsonl", rows)
    with (tmp_path / "rows.jsonl").open("a") as stream:
        stream.write("{broken\n")
    return tmp_path / "rows.jsonl"


COLUMNS = {"question": "q", "answer": "a"}


def question(file: Path, model: Path, **options: Any) -> dict[str, Any]:
    settings = ModelSettings(name=str(model)).model_dump()
    return data_question(file, file.parent, settings, columns=COLUMNS, **options)


def test_every_row_is_used_or_told_and_the_odd_ones_are_marked(file: Path, model: Path) -> None:
    checked = CheckedData(question(file, model, max_length=120))
    report = json.loads(json.dumps(checked.report))
    assert (report["shape"], report["rows"], report["used"], report["max_length"]) == ("question_answer", 11, 9, 120)
    assert [(problem["line"], problem["field"]) for problem in report["problems"]] == [(9, "answer"), (11, "")]
    assert report["truncated"] == 1 and report["duplicates"] == 1 and report["held_out"] is None
    assert report["roles"] == {"user": 9, "assistant": 9}
    assert sum(each["rows"] for each in report["lengths"]) == 9
    kinds = {(finding["kind"], finding["line"]) for finding in report["findings"]}
    assert {("truncated", 7), ("secret", 8), ("duplicate", 10)} <= kinds
    assert KEY not in json.dumps(report)


def test_rows_are_listed_found_and_shown_with_what_is_trained(file: Path, model: Path) -> None:
    checked = CheckedData(question(file, model, max_length=120))
    assert [entry.line for entry in checked.listed()] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11]
    assert [entry.line for entry in checked.listed("NUMBER 3")] == [4]
    assert [entry.line for entry in checked.listed(kind="problem")] == [9, 11]
    part = answer(checked, {"kind": "duplicate", "start": 0, "count": 5})
    assert part["total"] == 1 and part["rows"][0]["reasons"] == ("duplicate: the same as line 1",)

    shown = answer(checked, {"row": 0})["row"]
    assert "".join(text for text, _ in shown["parts"][0]["pieces"]) == (
        "<|im_start|>user\nWhich colour has the number 0?<|im_end|>\n<|im_start|>assistant\nIt is red 0.<|im_end|>\n"
    )
    assert [text for text, trained in shown["parts"][0]["pieces"] if trained] == ["It is red 0.<|im_end|>"]
    cut = checked.row(6)
    assert cut["cut"] > 0 and cut["parts"][1]["title"] == f"{cut['cut']} more tokens are cut off at max_length"
    unused = checked.row(9)
    assert not unused["used"] and unused["reasons"] == ("answer: is missing",)
    assert "q: None?" in unused["parts"][0]["pieces"][0][0]
    with pytest.raises(EngineError, match="no row 99"):
        answer(checked, {"row": 99})
    with pytest.raises(EngineError, match="no kind"):
        answer(checked, {"kind": "nice"})


def test_pairs_labels_prompts_and_text_are_shown_in_their_parts(model: Path, tmp_path: Path) -> None:
    def parts(row: dict[str, Any]) -> list[tuple[str, str]]:
        write_rows(tmp_path / "one.jsonl", [row])
        asked = data_question(tmp_path / "one.jsonl", tmp_path, ModelSettings(name=str(model)).model_dump())
        return [
            (part["title"], "".join(f"[{text}]" if trained else text for text, trained in part["pieces"]))
            for part in CheckedData(asked).row(0)["parts"]
        ]

    prompt = ("prompt", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert parts({"prompt": "Hi", "chosen": "Yes", "rejected": "No"}) == [
        prompt, ("chosen", "[Yes<|im_end|>]"), ("rejected", "[No<|im_end|>]"),
    ]  # fmt: skip
    assert parts({"prompt": "Hi", "completion": "No", "label": False}) == [prompt, ("bad answer", "[No<|im_end|>]")]
    assert parts({"prompt": "Hi", "reference": 4}) == [prompt, ("reference, which the model doesn't see", "4")]
    assert parts({"text": "Once."}) == [("", "[Once.<|im_end|>]")]


def test_rows_none_of_which_can_be_used_are_still_shown(model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", [{"prompt": "Hi", "chosen": "Yes" * 50, "rejected": "No"}] * 2)
    asked = data_question(tmp_path / "pairs.jsonl", tmp_path, ModelSettings(name=str(model)).model_dump(), max_length=9)
    checked = CheckedData(asked)
    assert (checked.report["rows"], checked.report["used"]) == (2, 0)
    assert [entry.reasons[0] for entry in checked.entries][0].startswith("length: prompt and longer answer have")


def test_a_projects_split_is_read_as_its_recipe_reads_it_and_held_against_the_held_out_rows(
    model: Path, tmp_path: Path
) -> None:
    make_project(tmp_path, model)
    leaked = json.loads((tmp_path / "data" / "test.jsonl").read_text().splitlines()[2])
    with (tmp_path / "data" / "train.jsonl").open("a") as stream:
        stream.write(json.dumps(leaked) + "\n")
    asked = project_question(tmp_path)
    assert (asked["path"], asked["held_out"]) == ("data/train.jsonl", "data/test.jsonl")
    report = CheckedData(asked).report
    assert (13, "verbatim: held-out row 3") in [
        (each["line"], each["reason"]) for each in report["findings"] if each["kind"] == "held out"
    ]
    assert CheckedData(project_question(tmp_path, "test")).report["held_out"] is None
    change_project(tmp_path, {"data.validation": None})
    with pytest.raises(EngineError, match="no validation rows"):
        project_question(tmp_path, "validation")


def test_the_worker_answers_row_by_row_until_it_is_closed(file: Path, model: Path) -> None:
    browser = DataBrowser(question(file, model, max_length=120))
    try:
        assert browser.open()["used"] == 9
        rows, total = browser.rows("number", None, 2, 2)
        assert [row["line"] for row in rows] == [3, 4] and total == 7
        assert browser.row(0)["parts"][0]["pieces"][1] == ["It is red 0.<|im_end|>", True]
        with pytest.raises(EngineError, match="no row 99"):
            browser.row(99)
        assert browser.row(1)["line"] == 2, "a refused question ends nothing"
    finally:
        browser.close()
    with pytest.raises(EngineError, match="broke off"):
        browser.row(0)


def test_the_command_prints_what_it_finds(file: Path, model: Path, cli: Callable[..., Ran]) -> None:
    options = ("--model", model, "--max-length", "120", "--columns", "question=q,answer=a")
    ran = cli("check", file, *options)
    assert ran.code == 0, ran.err
    for words in (
        "shape     question_answer", "rows      11, used 9, truncated 1", "roles     user 9, assistant 9",
        "copies    1 exact", "look at   duplicate: 1 row", "line 10: the same as line 1",
        "look at   secret: 1 row", "line 8: ",
        "line 9, answer: is missing", "not valid JSON",
    ):  # fmt: skip
        assert words in ran.out
    assert "##" in ran.out and KEY not in ran.out
    assert cli("check", file.parent / "gone.jsonl").code == 2
    assert cli("check", file, "--columns", "q").code == 2


def test_the_real_pairs_come_from_100_trees_and_most_are_longer_than_the_context(reference_data: Path) -> None:
    pairs_file = reference_data / "oasst-100trees" / "pref_pairs.jsonl"
    settings = ModelSettings(name=str(reference_data / "stories260K"), chat_template="plain")
    tokenizer = load_tokenizer(settings, reference_data)
    data = load_pairs(pairs_file, tokenizer, max_length=512)
    report = data.report
    assert report.rows == 754 == report.used + len(report.problems)
    assert report.notes[0].startswith("754 pairs from 212 prompts in 100 conversations")
    assert "70 %" in report.notes[1]
    assert report.notes[2].startswith("pairs longer than max_length, left out: 560 ")
    # By its bare text, without the template's headings, a pair is a few tokens shorter.
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]

    def tokens(turns: list[dict[str, str]]) -> int:
        text = "\n".join(turn["content"] for turn in turns)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    over = sum(max(tokens(row["prompt"] + row[name]) for name in ("chosen", "rejected")) > 512 for row in rows)
    assert over == 547

    train, validation = hold_out(data, seed=0, most=200)
    assert len(train.encoded) + len(validation.encoded) == report.used
    assert not {group_of(pair) for pair in train.examples} & {group_of(pair) for pair in validation.examples}
