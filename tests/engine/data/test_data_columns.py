"""Columns of whatever name: usual ones are known, the others are named, and none that judges rows is passed over."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.check.check import data_question
from rung.engine.check.check_data import CheckedData
from rung.engine.core.errors import EngineError
from rung.engine.data.labels import load_labels
from rung.engine.data.one_row import example_of
from rung.engine.data.read import Row
from rung.engine.data.report import load_data
from rung.engine.data.running_text import load_running_text
from rung.engine.data.shaped import FileRows, read_answers, shape_rows
from rung.engine.data.shapes import Conversation
from rung.engine.guide.new import write_new_project
from rung.engine.ladder.examples import read_examples
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectData
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import ModelSettings
from rung.tui.data.lines import figure_lines
from rung.tui.text.glyphs import ASCII
from tests.conftest import Ran
from tests.helpers.tiny import make_byte_tokenizer, make_tiny_model

USER, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
HUMAN, GPT = {"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}
QUESTIONS = ["What is the sum of two and two?", "Where does the sun rise?", "Who wrote this play?", "Why is it dark?"]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def shaped(fields: dict[str, Any], shape: str = "auto", columns: dict[str, str] | None = None) -> FileRows:
    (file,) = shape_rows([Row(fields, "rows.jsonl", 1)], shape, columns or {})
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "2+2?", "response": "4"}, {"question": "2+2?", "response": "4"}, {"query": "2+2?", "output": "4"},
        {"prompt": "2+2?", "answer": 4}, {"prompt": "2+2?", "target": "4"}, {"input": "2+2?", "output": "4"},
        {"instruction": "2+2?", "response": "4"}, {"instruction": "2+2?", "answer": "4"},
        {"question": "2+2?", "answers": ["4", "four"]}, {"question": "2+2?", "answer": ["4", "four"]},
        {"question": "2+2?", "answers": {"text": ["4", "four"], "answer_start": [3, 9]}},
        {"question": "2+2?", "answer": {"value": "4", "aliases": ["four"]}},
        {"problem": "2+2?", "solution": "4", "answer": "five"}, {"inputs": "2+2?", "targets": "4"},
        {"Question": "2+2?", "Answer": "4"}, {"Expected Output": "4", "PROMPT": "2+2?"},
        {"user": "2+2?", "assistant": "4"}, {"conversation": [USER, ANSWER]}, {"dialog": [HUMAN, GPT]},
        {"definition": ["2+2?"], "input": "", "output": ["4", "four"]},
    ],
)  # fmt: skip
def test_answers_of_usual_names_are_found(fields: dict[str, Any]) -> None:
    ((_, chat),), problems = read_answers(shaped(fields))
    assert problems == [] and isinstance(chat, Conversation)
    assert chat.messages == [USER, ANSWER]


def test_what_stands_beside_the_instruction_is_asked_too() -> None:
    for fields in (
        {"instruction": "Add.", "context": "2+2?", "response": "4", "category": "sums"},
        {"definition": "Add.", "inputs": "2+2?", "targets": "4"},
        {"instruction": "Add.", "input": "2+2?", "output": "4", "system_prompt": "Be short."},
    ):
        ((_, chat),), _ = read_answers(shaped(fields))
        assert isinstance(chat, Conversation) and chat.messages[-2]["content"] == "Add.\n\n2+2?"
    assert chat.messages[0] == {"role": "system", "content": "Be short."}
    # A passage is no part of what is asked: retrieval is to find it.
    ((_, chat),), _ = read_answers(shaped({"question": "2+2?", "context": "Sums.", "answer": "4"}))
    assert isinstance(chat, Conversation) and chat.messages == [USER, ANSWER]


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "2+2?", "response_j": "4", "response_k": "5", "qid": 7},
        {"prompt": "2+2?", "chosen_response": "4", "rejected_response": "5"},
        {"query": "2+2?", "answer_chosen": "4", "answer_rejected": "5"},
        {"instruction": "2+2?", "preferred": "4", "dispreferred": "5"},
        {"chosen_messages": [USER, ANSWER], "rejected_messages": [USER, ANSWER | {"content": "5"}]},
    ],
)
def test_pairs_of_usual_names_are_found(fields: dict[str, Any]) -> None:
    file = shaped(fields)
    ((_, chat),), problems = read_answers(file)
    assert (file.shape, problems) == ("preference", [])
    assert isinstance(chat, Conversation) and chat.messages == [USER, ANSWER]


LABELLED = {
    "messages": lambda good: {"messages": [USER, ANSWER], "label": good},
    "sharegpt": lambda good: {"conversations": [HUMAN, GPT], "kto_tag": good},
    "alpaca": lambda good: {"instruction": "2+2?", "input": "", "output": "4", "kto_tag": good},
    "trl": lambda good: {"prompt": [USER], "completion": [ANSWER], "label": good},
    "texts": lambda good: {"prompt": "2+2?", "response": "4", "label": int(good)},
    "words": lambda good: {"question": "2+2?", "answer": "4", "desirability": "good" if good else "bad"},
}


@pytest.mark.parametrize("form", LABELLED)
def test_answers_with_a_label_are_labelled_answers(form: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [LABELLED[form](number % 2 == 0) for number in range(10)])
    for shape in ("auto", "kto"):
        data = load_labels(path, make_byte_tokenizer(), shape=shape)
        assert data.report.problems == [] and data.report.unused == []
        assert [example.label for example in data.examples] == [True, False] * 5
        assert {(example.prompt[-1]["content"], example.answer["content"]) for example in data.examples} == {
            ("2+2?", "4")
        }


def test_a_label_of_any_name_is_taken_when_it_is_named(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "rows.jsonl", [{"messages": [USER, ANSWER], "ok": number % 2 == 0} for number in range(4)]
    )
    data = load_labels(path, make_byte_tokenizer(), columns={"label": "ok"})
    assert [example.label for example in data.examples] == [True, False] * 2


def test_one_row_by_itself_is_read_as_its_file_would_be() -> None:
    assert example_of({"query": "2+2?", "reply": "4"}).messages == [USER, ANSWER]
    assert example_of({"ask": "2+2?", "say": "4"}, {"prompt": "ask", "completion": "say"}).messages == [USER, ANSWER]
    assert example_of({"messages": [USER, ANSWER], "label": False}).messages == [USER, ANSWER]
    assert example_of({"prompt": "2+2?", "chosen": "4", "rejected": "5"}).rejected["content"] == "5"
    assert example_of({"prompt": "2+2?", "reference": "4"}).reference == "4"
    assert example_of({"text": "Once."}).text == "Once."
    assert example_of({"colour": "red"}) is None and example_of({"question": "2+2?", "answer": ""}) is None


@pytest.mark.parametrize("load", [load_data, load_running_text])
def test_answers_labelled_bad_are_learned_as_good_only_where_that_is_asked_for(load: Any, tmp_path: Path) -> None:
    rows = [{"messages": [USER, ANSWER | {"content": f"{number}"}], "label": number % 2 == 0} for number in range(10)]
    path, tokenizer = write_rows(tmp_path / "rows.jsonl", rows), make_byte_tokenizer()
    with pytest.raises(EngineError, match="5 of 10 answers are labelled bad") as refused:
        load(path, tokenizer)
    assert "method: kto" in refused.value.hint and "data.shape: messages" in refused.value.hint
    good = load(path, tokenizer, shape="kto")
    assert [example.reference for example in good.examples] == ["0", "2", "4", "6", "8"]
    assert "5 answers labelled bad are left out: data.shape is kto" in good.report.notes
    every = load(path, tokenizer, shape="messages")
    (column,) = every.report.unused
    assert every.report.used == 10 and column.kind == "judging" and "5 of its rows say no" in column.why


@pytest.mark.accept
def test_a_launch_that_learns_what_is_labelled_bad_is_warned_of(
    cli: Callable[..., Ran], tmp_path: Path, model: Path
) -> None:
    rows = [{"messages": [USER, ANSWER | {"content": f"{number}"}], "label": number % 2 == 0} for number in range(20)]
    write_rows(tmp_path / "rows.jsonl", rows)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"method: sft\nmodel: {{name: {model}}}\ndata: {{train: rows.jsonl, max_length: 128}}\n")
    refused = cli("check", recipe)
    assert refused.code == 1 and "10 of 20 answers are labelled bad" in refused.out
    warned = cli("check", recipe, "--set", "data.shape=messages")
    assert warned.code == 0 and "the column label isn't used: 10 of its rows say no" in warned.out
    assert "10 answers labelled bad are left out" in cli("check", recipe, "--set", "data.shape=kto").out


def test_labelled_answers_are_measured_on_the_good_ones(tmp_path: Path) -> None:
    rows = [{"messages": [USER, ANSWER | {"content": f"{number}"}], "label": number > 2} for number in range(5)]
    found = read_examples(write_rows(tmp_path / "rows.jsonl", rows), ProjectData())
    assert [example.reference for example in found.examples] == ["3", "4"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"messages": [USER, ANSWER], "label": "sums"}, "judging"),
        ({"question": "2+2?", "answer": "4", "score": 0.3}, "judging"),
        ({"question": "2+2?", "answer": "4", "user_rating": 5}, "judging"),
        ({"question": "2+2?", "answer": "4", "rejected": "5"}, "judging"),
        ({"text": "2+2?", "label": 1}, "judging"),
        ({"prompt": "2+2?", "weight": 0.5}, "judging"),
        ({"question": "2+2?", "answer": "4", "images": ["a.png"]}, "media"),
        ({"prompt": "2+2?", "my_words": "4"}, "answer"),
        ({"question": "2+2?", "answer": "4", "comment": "easy"}, ""),
    ],
)
def test_a_column_that_nothing_is_made_of_is_named(
    fields: dict[str, Any], kind: str, tmp_path: Path, model: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [fields | {"n": number} for number in range(8)])
    report = CheckedData(data_question(path, tmp_path, ModelSettings(name=str(model)).model_dump())).report
    name = [*fields][-1]
    unused = json.loads(json.dumps(report))["unused"]
    assert [(each["name"], each["rows"], each["kind"]) for each in unused] == [(name, 8, kind), ("n", 8, "")]
    told = [finding["reason"] for finding in report["findings"] if finding["kind"] == "columns"]
    assert [reason.split(" ")[0] for reason in told] == ([name] if kind else [])


def test_the_data_screen_s_figures_say_which_column_is_which_and_which_is_none(tmp_path: Path, model: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"question": "2+2?", "reply": "4", "note": "x", "score": 1}] * 3)
    report = CheckedData(data_question(path, tmp_path, ModelSettings(name=str(model)).model_dump())).report
    text = figure_lines(json.loads(json.dumps(report)), ASCII).plain
    assert "answer is reply" in text and "not used: note (3 rows)" in text
    assert "score (3 rows) isn't used; rows are learned whatever it says" in text


def test_a_column_that_the_project_uses_is_not_told_as_unused(tmp_path: Path, model: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"question": "2+2?", "answer": "4", "label": "sums"}])
    asked = data_question(path, tmp_path, ModelSettings(name=str(model)).model_dump(), used_elsewhere=["label"])
    report = CheckedData(asked).report
    assert report["unused"] == [] and [found for found in report["findings"] if found["kind"] == "columns"] == []


def test_the_check_says_which_column_is_which_and_which_is_none(
    cli: Callable[..., Ran], tmp_path: Path, model: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"prompt": "2+2?", "response": "4", "mark": 1}] * 3)
    ran = cli("check", path, "--model", model)
    assert "shape     prompt_completion" in ran.out and "columns   completion is response" in ran.out
    assert "not used  mark" in ran.out

    path = write_rows(tmp_path / "prompts.jsonl", [{"prompt": "2+2?", "my_words": "4"}] * 3)
    ran = cli("check", path, "--model", model)
    assert "my_words (3 rows) isn't used; if it is the answer: --columns prompt=prompt completion=my_words" in ran.out
    assert "sft learns nothing from them" in ran.out
    ran = cli("check", path, "--model", model, "--columns", "prompt=prompt", "completion=my_words", "--json")
    assert json.loads(ran.out)["trained_tokens"] > 0 and json.loads(ran.out)["columns"] == {"completion": "my_words"}


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (("--columns", "promt=prompt"), "no field 'promt'", "did you mean prompt?"),
        (("--columns", "my_words=completion"), "no field 'my_words'", "completion=my_words"),
        (("--columns", "completion=my_word"), "no column 'my_word'", "it has: prompt, my_words"),
        (("--columns", "completion"), "takes FIELD=COLUMN", "--columns prompt=question"),
        (("--columns", "prompt=prompt,prompt=my_words"), "says twice", "my_words"),
        (("--shape", "mesages"), "no shape 'mesages'", "did you mean messages?"),
    ],
)
@pytest.mark.parametrize("command", ["check", "new"])
def test_a_wrong_column_or_shape_is_refused_with_the_nearest(
    command: str, options: tuple[str, ...], said: str, hint: str, cli: Callable[..., Ran], tmp_path: Path, model: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"prompt": "2+2?", "my_words": "4"}] * 20)
    where = [path] if command == "check" else [tmp_path / "made", "--train", path]
    ran = cli(command, *where, "--model", model, *options)
    assert ran.code == 2 and said in ran.err and hint in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "made").exists()


def test_a_recipe_s_columns_are_fields_that_there_are(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("method: sft\nmodel: {name: pocket}\ndata:\n  train: t.jsonl\n  columns: {promt: q}\n")
    with pytest.raises(EngineError) as refused:
        load_recipe(recipe)
    assert "line 5: data.columns" in refused.value.details and "did you mean prompt" in refused.value.details


def test_a_new_project_keeps_the_mapping_and_says_what_is_not_used(
    cli: Callable[..., Ran], tmp_path: Path, model: Path
) -> None:
    rows = [{"Frage": f"{QUESTIONS[n % 4]} {n}", "Antwort": f"It is {n}.", "score": n} for n in range(40)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert cli("new", tmp_path / "p", "--model", model, "--train", path).code == 2
    ran = cli(
        "new", tmp_path / "p", "--model", model, "--train", path, "--shape", "question_answer",
        "--columns", "question=Frage", "answer=Antwort", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert any("the column score isn't used" in warning for warning in json.loads(ran.out)["warnings"])
    project = load_project(tmp_path / "p")
    assert project.data.columns == {"question": "Frage", "answer": "Antwort"}
    recipe = load_recipe(tmp_path / "p" / "recipes" / "sft.yaml")
    assert (recipe.data.columns, recipe.data.shape) == (project.data.columns, "question_answer")
    data = load_data(
        tmp_path / "p" / "data" / "train.jsonl", make_byte_tokenizer(), shape=recipe.data.shape,
        columns=recipe.data.columns,
    )  # fmt: skip
    assert data.report.problems == [] and data.report.trained_tokens > 0


@pytest.mark.parametrize("form", LABELLED)
def test_a_new_project_for_labelled_answers_learns_from_both(form: str, tmp_path: Path, model: Path) -> None:
    def row(number: int) -> dict[str, Any]:
        text = json.dumps(LABELLED[form](number % 3 > 0)).replace("2+2?", f"{QUESTIONS[number % 4]} {number}")
        return dict(json.loads(text.replace('"4"', f'"It is {number}."')))

    path = write_rows(tmp_path / "rows.jsonl", [row(number) for number in range(60)])
    made = write_new_project(tmp_path / "p", str(model), path)
    assert made.recipe == "recipes/kto.yaml" and made.warnings == []
    recipe = load_recipe(made.root / made.recipe)
    data = load_labels(
        made.root / recipe.data.train, make_byte_tokenizer(), shape=recipe.data.shape, columns=recipe.data.columns
    )
    assert data.report.problems == [] and {example.label for example in data.examples} == {True, False}


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "{q}", "response": "{a}"}, {"prompt": "{q}", "answers": ["{a}", "or so"]},
        {"instruction": "{q}", "instances": [{"input": "", "output": "{a}"}]}, {"Question": "{q}", "Reply": "{a}"},
    ],
)  # fmt: skip
def test_a_new_project_of_rows_of_usual_names_is_measured_and_trained(
    fields: dict[str, Any], tmp_path: Path, model: Path
) -> None:
    rows = [
        json.loads(json.dumps(fields).replace("{q}", f"{QUESTIONS[n % 4]} {n}").replace("{a}", f"It is {n}."))
        for n in range(40)
    ]
    made = write_new_project(tmp_path / "p", str(model), write_rows(tmp_path / "rows.jsonl", rows))
    project = load_project(made.root)
    assert project.data.test is not None and project.data.train is not None
    assert {
        example.reference[:6] for example in read_examples(made.root / project.data.test, project.data).examples
    } == {"It is "}
    data = load_data(made.root / project.data.train, make_byte_tokenizer(), columns=project.data.columns)
    assert data.report.problems == [] and data.report.trained_tokens > 0
