"""Every shape that rows come in becomes turns with an answer; what can't is told with its field and the reason."""

import json
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.prompts import prompts_from
from rung.engine.data.read import Row
from rung.engine.data.shaped import FileRows, shape_rows
from rung.engine.data.shapes import Conversation, Passage, convert

USER, ANSWER = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
SYSTEM = {"role": "system", "content": "Be short."}
EARLIER = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}
HUMAN, GPT = {"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}


def rows(*fields: dict[str, Any]) -> list[Row]:
    return [Row(each, "rows.jsonl", number) for number, each in enumerate(fields, start=1)]


def shaped(given: list[Row], shape: str = "auto", columns: dict[str, str] | None = None) -> FileRows:
    (file,) = shape_rows(given, shape, columns or {})
    return file


def only(fields: dict[str, Any], shape: str) -> Conversation:
    file = shaped(rows(fields))
    assert file.shape == shape
    (example,), problems = convert(file.rows, shape)
    assert problems == [] and isinstance(example, Conversation)
    return example


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"messages": [USER, ANSWER]}, "messages"),
        ({"messages": json.dumps([USER, ANSWER])}, "messages"),
        ({"messages": [HUMAN, GPT]}, "messages"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": "4"}]}]}, "messages"),
        ({"conversations": [HUMAN, GPT]}, "conversations"),
        ({"conversations": [USER, ANSWER]}, "conversations"),
        ({"conversations": [{"from": "User", "value": "2+2?"}, {"from": "Bot", "value": "4"}]}, "conversations"),
        ({"instruction": "2+2?", "input": "", "output": "4"}, "alpaca"),
        ({"instruction": "2+2?", "output": 4}, "alpaca"),
        ({"prompt": "2+2?", "completion": "4"}, "prompt_completion"),
        ({"prompt": [USER], "completion": [ANSWER]}, "prompt_completion"),
        ({"question": "2+2?", "answer": "4"}, "question_answer"),
        ({"question": "2+2?", "answer": "4", "messages": None, "text": None}, "question_answer"),
    ],
)
def test_every_answered_shape_becomes_the_same_turns(fields: dict[str, Any], shape: str) -> None:
    assert only(fields, shape).messages == [USER, ANSWER]


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"messages": [SYSTEM, *EARLIER, USER, ANSWER]}, "messages"),
        ({"messages": [*EARLIER, USER, ANSWER], "system": "Be short."}, "messages"),
        ({"prompt": [*EARLIER, USER], "completion": "4", "system": "Be short."}, "prompt_completion"),
        ({"instruction": "2+2?", "output": "4", "history": [["1+1?", "2"]], "system": "Be short."}, "alpaca"),
    ],
)
def test_system_and_earlier_turns_are_kept(fields: dict[str, Any], shape: str) -> None:
    assert only(fields, shape).messages == [SYSTEM, *EARLIER, USER, ANSWER]


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL]), [TOOL | {"strict": None}]])
@pytest.mark.parametrize(
    "turns",
    [
        [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "4"}, ANSWER],
        [USER, {"role": "assistant", "tool_calls": [CALL["function"]]}, {"role": "tool", "content": "4"}, ANSWER],
        [
            HUMAN,
            {"from": "function_call", "value": json.dumps(CALL["function"])},
            {"from": "observation", "value": "4"},
            GPT,
        ],
    ],
)
def test_tools_and_their_calls_are_kept(tools: Any, turns: list[dict[str, Any]]) -> None:
    example = only({"messages": turns, "tools": tools}, "messages")
    assert example.tools == [TOOL]
    assert example.messages == [
        USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "4"}, ANSWER,
    ]  # fmt: skip


def test_running_text_stays_as_it_is() -> None:
    examples, problems = convert(rows({"text": "Once."}, {"text": " "}), "text")
    assert examples == [Passage("Once.", "rows.jsonl", 1)]
    assert [(problem.line, problem.field, problem.reason) for problem in problems] == [(2, "text", "is empty")]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"messages": "hello"}, "messages", "is not a list of turns"),
        ({"messages": []}, "messages", "is missing or empty"),
        ({"messages": ["hello"]}, "messages[0]", "a turn is an object"),
        ({"messages": [{"role": "fox", "content": "x"}]}, "messages[0].role", "'fox' is not a known speaker"),
        ({"messages": [USER, {"role": "assistant"}]}, "messages[1].content", "is missing"),
        ({"messages": [USER, {"role": "assistant", "content": 4}]}, "messages[1].content", "is int, not text"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "image"}]}]}, "messages[1].content", "image"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "answer", "is empty"),
        ({"messages": [ANSWER]}, "messages", "no turn of the user's"),
        ({"messages": [USER, ANSWER, USER]}, "messages", "the last turn is user's"),
        ({"messages": [USER, ANSWER], "tools": "none"}, "tools", "is str, not a list of tools"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [7]}]}, "messages[1].tool_calls", "a tool call is"),
    ],
)
def test_turns_that_can_not_be_used_are_named(fields: dict[str, Any], field: str, words: str) -> None:
    examples, problems = convert(rows(fields), "messages")
    assert examples == []
    assert problems[0].field == field and words in problems[0].reason


def test_every_row_is_used_or_reported() -> None:
    mixed = rows(
        {"question": "a", "answer": "b"}, {"question": "a"}, {"answer": "b"}, {"question": "", "answer": "b"},
        {"question": "a", "answer": None}, {"question": "a", "answer": ["b"]}, {"question": 1, "answer": 2.5}, {},
    )  # fmt: skip
    file = shaped(mixed)
    examples, problems = convert(file.rows, file.shape)
    assert sorted([*(example.line for example in examples), *(problem.line for problem in problems)]) == [*range(1, 9)]
    assert [example.line for example in examples] == [1, 6, 7]


def test_columns_are_mapped_by_hand_and_a_row_without_one_is_reported() -> None:
    given = rows({"q": "2+2?", "reply": "4"}, {"q": "3+3?", "completion": "not this"})
    file = shaped(given, columns={"prompt": "q", "completion": "reply"})
    examples, problems = convert(file.rows, file.shape)
    assert [example.reference for example in examples if isinstance(example, Conversation)] == ["4"]
    assert [(problem.line, problem.field, problem.reason) for problem in problems] == [(2, "completion", "is missing")]
    with pytest.raises(EngineError, match="no column 'answer'") as caught:
        shaped(given, columns={"completion": "answer"})
    assert "q, reply" in caught.value.details


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [USER], "reference": 4}, {"messages": [USER], "solution": "4"}, {"query": "2+2?", "reference": "4"},
        {"instruction": "2+2?", "ground_truth": "4"}, {"Problem": "2+2?", "reference": "4"},
    ],
)  # fmt: skip
def test_prompts_come_in_several_forms(fields: dict[str, Any]) -> None:
    file = shaped(rows(fields))
    assert file.shape == "prompts"
    (prompt,), problems = prompts_from(file.rows, "prompts")
    assert problems == []
    assert (prompt.prompt, prompt.reference) == ([USER], "4")


def test_rows_of_no_known_shape_say_what_they_have() -> None:
    with pytest.raises(EngineError, match="no known shape") as caught:
        shaped(rows({"q": "a", "reply": "b"}))
    assert "q, reply" in caught.value.details and "--columns prompt=q completion=reply" in caught.value.hint
