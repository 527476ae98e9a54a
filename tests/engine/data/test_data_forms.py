"""Rows as other programs write them: parts and weights of turns, tables of other separators, columns, nested files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.encode import encode
from rung.engine.data.load import load_any
from rung.engine.data.pairs import load_pairs
from rung.engine.data.read import Row, read_rows
from rung.engine.data.report import load_data
from rung.engine.data.shaped import read_shaped
from rung.engine.data.shapes import Conversation, convert
from rung.engine.guide.new import write_new_project
from tests.conftest import Ran
from tests.engine.data.test_data_read import write_parquet
from tests.helpers.tiny import make_byte_tokenizer, make_tiny_model

USER, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}
PLAIN = [{"question": "1+1?", "answer": "2"}, {"question": "Size; of it, all?", "answer": "zwei; drei"}]


def part(text: str, kind: str = "text") -> dict[str, str]:
    return {"type": kind, "value": text}


def turn(role: str, *parts: dict[str, str], weight: float | None = None) -> dict[str, Any]:
    return {"role": role, "content": [*parts], "loss_weight": float(role == "assistant") if weight is None else weight}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def conversation(messages: list[dict[str, Any]]) -> Conversation:
    (chat,), problems = convert([Row({"messages": messages}, "rows.jsonl", 1)], "messages")
    assert problems == [] and isinstance(chat, Conversation)
    return chat


def learned(messages: list[dict[str, Any]]) -> str:
    tokenizer = make_byte_tokenizer()
    item = encode(conversation(messages), tokenizer, 1000, "assistant")
    return str(tokenizer.decode([label for label in item.labels if label != -100]))


def test_parts_of_a_turn_are_read_with_their_reasoning_and_calls() -> None:
    chat = conversation(
        [
            turn("system", part("Be short.")),
            turn("user", part("2+"), part("2?")),
            turn("assistant", part("I add.", "reasoning"), part(json.dumps(CALL["function"]), "tool_call")),
            turn("tool", part("4")),
            turn("assistant", part("4")),
        ]
    )
    assert chat.messages == [
        {"role": "system", "content": "Be short."},
        USER,
        {"role": "assistant", "content": "", "reasoning_content": "I add.", "tool_calls": [CALL], "weight": 1},
        {"role": "tool", "content": "4"},
        ANSWER | {"weight": 1},
    ]


def test_a_turn_of_loss_weight_0_is_not_learned() -> None:
    turns = [turn("user", part("1+1?")), turn("assistant", part("2")), turn("user", part("2+2?")),
             turn("assistant", part("4"))]  # fmt: skip
    assert learned(turns) == "2<|im_end|>4<|im_end|>"
    turns[1]["loss_weight"] = 0.0
    assert learned(turns) == "4<|im_end|>"


def test_rows_none_of_whose_answers_are_learned_say_why(tmp_path: Path) -> None:
    rows = [{"messages": [USER, ANSWER | {"loss_weight": weight}]} for weight in (0, 1)]
    report = load_data(write(tmp_path / "rows.jsonl", rows), make_byte_tokenizer()).report
    assert [(problem.line, problem.reason) for problem in report.problems] == [
        (1, "no answer of it is to be learned: their weight is 0")
    ]


@pytest.mark.parametrize(
    ("messages", "field", "reason"),
    [
        ([USER, ANSWER | {"loss_weight": 0.5}], "messages[1].loss_weight", "is 0.5: a turn is learned (1) or not (0)"),
        ([USER, ANSWER | {"weight": 2}], "messages[1].weight", "is 2: a turn is learned"),
        ([USER | {"loss_weight": 1.0}, ANSWER], "messages[0].loss_weight", "is 1 on a turn of the user's"),
        ([turn("user", part("a.png", "image_url")), ANSWER], "messages[0].content", "holds image_url"),
        ([turn("user", {"type": "audio"}, part("What is it?")), ANSWER], "messages[0].content", "holds audio"),
        ([{"role": "user", "content": [{"image": "a.png"}]}, ANSWER], "messages[0].content", "holds image:"),
        ([{"role": "user", "content": [{"type": "video", "text": None}]}, ANSWER], "messages[0].content", "video"),
    ],
)
def test_what_can_not_be_learned_of_a_turn_is_named(messages: Any, field: str, reason: str) -> None:
    examples, problems = convert([Row({"messages": messages}, "rows.jsonl", 1)], "messages")
    assert examples == [] and problems[0].field == field and reason in problems[0].reason


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_text_that_points_to_a_picture_is_refused_and_other_text_is_not(kind: str, tmp_path: Path) -> None:
    rows = [
        {"messages": [USER | {"content": f"<{kind}>What is it?"}, ANSWER], f"{kind}s": ["a"]},
        {"messages": [USER, ANSWER], f"{kind}s": []},
    ]
    report = load_data(write(tmp_path / "rows.jsonl", rows), make_byte_tokenizer()).report
    assert report.used == 1 and [problem.field for problem in report.problems] == [f"{kind}s"]


def test_pairs_of_turns_in_parts_are_read(tmp_path: Path) -> None:
    chosen, rejected = ([turn("user", part("2+2?")), turn("assistant", part(text))] for text in ("4", "5"))
    path = write(tmp_path / "rows.jsonl", [{"chosen_messages": chosen, "rejected_messages": rejected}])
    (pair,) = load_pairs(path, make_byte_tokenizer()).examples
    assert (pair.prompt, pair.chosen["content"], pair.rejected["content"]) == ([USER], "4", "5")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "marked"])
def test_a_table_is_read_whatever_divides_its_cells(separator: str, name: str, mark: str, tmp_path: Path) -> None:
    lines = [["question", "answer"], *([f'"{value}"' for value in row.values()] for row in PLAIN)]
    (tmp_path / name).write_text(mark + "\n".join(separator.join(line) for line in lines) + "\n", encoding="utf-8")
    rows, problems = read_rows(tmp_path / name)
    assert [row.fields for row in rows] == PLAIN and problems == []


def test_a_table_of_one_column_stays_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\nOne; two; three.\nFour; five; six.\nSeven | eight.\n")
    rows, _ = read_rows(tmp_path / "rows.csv")
    assert [row.fields["text"] for row in rows] == ["One; two; three.", "Four; five; six.", "Seven | eight."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question,question\na,b\n", "two columns called 'question'"),
        ("question,answer\n", "no row follows"),
        ("Once upon a time.\nThere was a fox.\n", "the first line of a table names its columns"),
        ("\ufeff", "the file is empty"),
    ],
)
def test_a_table_without_rows_or_names_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content, encoding="utf-8")
    with pytest.raises(EngineError) as refused:
        read_shaped(tmp_path / "rows.csv")
    assert said in str(refused.value)


def test_row_numbers_that_pandas_writes_are_a_column_like_others(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(",question,answer\n0,1+1?,2\n")
    (file,) = read_shaped(tmp_path / "rows.csv").files
    assert file.shape == "question_answer" and [column.name for column in file.unused] == ["column 1"]


@pytest.mark.parametrize(
    "value",
    [
        {name: [row[name] for row in PLAIN] for name in PLAIN[0]},
        {name: {str(number): row[name] for number, row in enumerate(PLAIN)} for name in PLAIN[0]},
        {"columns": ["question", "answer"], "index": [0, 1], "data": [[*row.values()] for row in PLAIN]},
        {"version": "1", "data": PLAIN},
        PLAIN,
    ],
    ids=["columns", "pandas", "split", "data", "list"],
)
def test_json_of_every_form_of_table_gives_the_same_rows(value: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(value))
    rows, problems = read_rows(tmp_path / "rows.json")
    assert [row.fields for row in rows] == PLAIN and problems == []
    assert [row.place for row in rows] == ["item 1", "item 2"]


@pytest.mark.parametrize("value", [{"messages": [USER, ANSWER]}, {"prompt": [USER], "completion": [ANSWER]}])
def test_one_row_of_turns_is_no_table(value: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(value))
    (chat,) = load_data(tmp_path / "rows.json", make_byte_tokenizer()).examples
    assert chat.messages == [USER, ANSWER]


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"question": ["a", "b"], "answer": ["c"]}')
    with pytest.raises(EngineError, match="differ in length") as refused:
        read_rows(tmp_path / "rows.json")
    assert "question: 2, answer: 1" in refused.value.details


def test_nested_files_of_known_kinds_give_a_row_for_each_question(tmp_path: Path) -> None:
    asked = {"id": "7", "question": "2+2?", "answers": [{"text": "4", "answer_start": 3}]}
    (tmp_path / "squad.json").write_text(
        json.dumps({"data": [{"title": "Sums", "paragraphs": [{"context": "It is 4.", "qas": [asked, asked]}]}]})
    )
    data = load_data(tmp_path / "squad.json", make_byte_tokenizer())
    assert [chat.messages for chat in data.examples] == [[USER, ANSWER]] * 2
    assert {column.name for column in data.report.unused} == {"id", "title", "context"}

    task = {"Contributors": ["x"], "Definition": ["Add."], "Instances": [{"id": "a", "input": "2+2?", "output": ["4"]}]}
    (tmp_path / "task.json").write_text(json.dumps(task))
    (chat,) = load_data(tmp_path / "task.json", make_byte_tokenizer()).examples
    assert chat.messages == [USER | {"content": "Add.\n\n2+2?"}, ANSWER]

    row = {"instruction": "Add.", "instances": [{"input": f"{n}+{n}?", "output": f"{2 * n}"} for n in (1, 2)], "id": 3}
    data = load_data(write(tmp_path / "rows.jsonl", [row]), make_byte_tokenizer())
    assert [(chat.line, chat.reference) for chat in data.examples] == [(1, "2"), (1, "4")]
    assert (data.report.rows, data.report.used) == (1, 1)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "json"])
def test_not_a_number_is_nothing_and_never_text(kind: str, tmp_path: Path) -> None:
    rows = [{"question": "1+1?", "answer": 2.0}, {"question": "2+2?", "answer": float("nan")}]
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        write_parquet(path, rows)
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    data = load_data(path, make_byte_tokenizer())
    assert [chat.reference for chat in data.examples] == ["2.0"]
    assert [(problem.line, problem.field, problem.reason) for problem in data.report.problems] == [
        (2, "answer", "is missing")
    ]


@pytest.mark.parametrize(("kind", "place"), [("json", "item 2"), ("parquet", "row 2"), ("jsonl", "line 2")])
def test_places_are_called_what_they_are(
    kind: str, place: str, cli: Callable[..., Ran], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows: list[dict[str, Any]] = [{"question": "1+1?", "answer": "2"}, {"question": "2+2?", "answer": None},
                                  {"question": "1+1?", "answer": "2"}]  # fmt: skip
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        write_parquet(path, rows)
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    ran = cli("check", path, "--model", make_tiny_model(tmp_path / "model"))
    assert f"rows.{kind} {place}, answer: is missing" in ran.out
    unit = place.split()[0]
    assert f"rows.{kind} {unit} 3: the same as {unit} 1" in ran.out


MIXED = {
    "a.jsonl": {"messages": [USER, ANSWER]},
    "b.jsonl": {"instruction": "2+2?", "input": "", "output": "4", "note": "x"},
    "c.jsonl": {"prompt": "2+2?", "response": "4"},
}


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name, row in MIXED.items():
        write(tmp_path / name, [row] * (1 + len(name)))
    read = read_shaped(tmp_path)
    assert [file.shape for file in read.files] == ["messages", "alpaca", "prompt_completion"]
    data = load_any(tmp_path, make_byte_tokenizer())
    assert data.report.problems == [] and {json.dumps(chat.messages) for chat in data.examples} == {
        json.dumps([USER, ANSWER])
    }
    assert data.report.shape == "messages and alpaca and prompt_completion"
    assert [column.name for column in data.report.unused] == ["note"] and data.report.columns == {
        "completion": "response"
    }


def test_files_of_shapes_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [MIXED["a.jsonl"]])
    write(tmp_path / "b.jsonl", [{"prompt": "2+2?", "chosen": "4", "rejected": "5"}])
    with pytest.raises(EngineError) as refused:
        load_any(tmp_path, make_byte_tokenizer())
    assert "a.jsonl holds messages" in refused.value.details and "b.jsonl holds preference" in refused.value.details
    for load in (load_data, load_pairs):
        with pytest.raises(EngineError, match="wrong shape") as refused:
            load(tmp_path, make_byte_tokenizer())
        assert "b.jsonl holds preference" in refused.value.details
        assert "suit method: grpo" in refused.value.hint


def test_a_new_project_of_several_files_has_them_in_one_form(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    (tmp_path / "data").mkdir()
    for name, row in MIXED.items():
        rows = [json.loads(json.dumps(row).replace("2+2?", f"What is {n} of {name}?")) for n in range(12)]
        write(tmp_path / "data" / name, rows)
    made = write_new_project(tmp_path / "p", str(model), tmp_path / "data")
    assert "b.jsonl holds alpaca" in made.notes
    data = [load_data(made.root / f"data/{name}.jsonl", make_byte_tokenizer()) for name in made.rows]
    assert sum(each.report.used for each in data) == 36 and all(each.report.problems == [] for each in data)

    write(tmp_path / "data" / "d.jsonl", [{"text": f"Some text, number {n}."} for n in range(12)])
    with pytest.raises(EngineError, match="don't go into one project") as refused:
        write_new_project(tmp_path / "q", str(model), tmp_path / "data")
    assert "d.jsonl holds text" in refused.value.details and not (tmp_path / "q").exists()
