"""Rows of every answered shape, and of text, in the one form that each becomes.

Everything that is answered becomes a `Conversation`; running text becomes a `Passage`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.data.read import Problem, Row
from rung.engine.data.turns import Message as Message
from rung.engine.data.turns import (
    RowFault,
    make_turn,
    read_answer,
    read_each,
    read_text,
    read_tools,
    read_turns,
    with_system,
)


@dataclass(frozen=True)
class Conversation:
    """Chat turns that end in an answer; `tools` as the template takes them."""

    messages: list[Message]
    source: str
    line: int
    tools: list[Any] | None = None

    @property
    def reference(self) -> str:
        """The last answer."""
        return str(self.messages[-1].get("content") or "")

    @property
    def prompt(self) -> list[Message]:
        """The turns before the last answer."""
        return self.messages[:-1]


@dataclass(frozen=True)
class Passage:
    """Running text, learned as a whole."""

    text: str
    source: str
    line: int


Example = Conversation | Passage


def convert(rows: Sequence[Row], shape: str) -> tuple[list[Example], list[Problem]]:
    """Examples in the order of the rows, and a problem for each row that can't be one.

    The rows' fields stand under the shape's own names (`rung.engine.data.columns`).
    """
    found, problems = read_each(rows, CONVERTERS[shape])
    return [example for _, example in found], problems


def _from_messages(row: Row) -> Conversation:
    return _conversation(row, read_turns(row, "messages"))


def _from_sharegpt(row: Row) -> Conversation:
    return _conversation(row, read_turns(row, "conversations"))


def _from_alpaca(row: Row) -> Conversation:
    instruction = _instruction(row)
    extra = row.fields.get("input") or ""
    user = f"{instruction}\n\n{extra}" if extra else instruction
    return _conversation(row, [*_history(row), make_turn("user", user), *read_answer(row, "output")])


def _instruction(row: Row) -> str:
    """The instruction; of natural instructions' definitions the first."""
    value = row.fields.get("instruction")
    if isinstance(value, list) and value:
        row = row.with_fields({"instruction": value[0]})
    return read_text(row, "instruction")


def _history(row: Row) -> list[Message]:
    """Earlier questions with their answers, which some alpaca rows carry as pairs."""
    turns: list[Message] = []
    for number, pair in enumerate(row.fields.get("history") or []):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowFault(f"history[{number}]", "is not a question with its answer")
        turns += [make_turn("user", pair[0]), make_turn("assistant", pair[1])]
    return turns


def _from_prompt_completion(row: Row) -> Conversation:
    return _prompted(row, "prompt", "completion")


def _from_question_answer(row: Row) -> Conversation:
    return _prompted(row, "question", "answer")


def _from_text(row: Row) -> Passage:
    return Passage(read_text(row, "text"), row.source, row.line)


def _prompted(row: Row, prompt_field: str, answer_field: str) -> Conversation:
    if isinstance(row.fields.get(prompt_field), list):
        before = read_turns(row, prompt_field)
    else:
        before = [make_turn("user", read_text(row, prompt_field))]
    return _conversation(row, [*before, *read_answer(row, answer_field)])


def _conversation(row: Row, turns: list[Message]) -> Conversation:
    messages = with_system(row, turns)
    if messages[-1]["role"] != "assistant":
        raise RowFault("messages", f"the last turn is {messages[-1]['role']}'s; there is no answer to learn")
    if not any(message["role"] == "user" for message in messages):
        raise RowFault("messages", "no turn of the user's")
    if not str(messages[-1]["content"]).strip() and not messages[-1].get("tool_calls"):
        raise RowFault("answer", "is empty")
    return Conversation(messages, row.source, row.line, read_tools(row))


CONVERTERS: dict[str, Callable[[Row], Example]] = {
    "messages": _from_messages,
    "conversations": _from_sharegpt,
    "alpaca": _from_alpaca,
    "prompt_completion": _from_prompt_completion,
    "question_answer": _from_question_answer,
    "text": _from_text,
}
"""How a row of each answered shape, and of text, is read."""
