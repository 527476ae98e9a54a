"""The shapes that rows come in, told from their fields, and the one form each becomes.

Everything that is answered becomes a `Conversation`; running text becomes a `Passage`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.data.needs import wrong_shape
from engine.data.read import Problem, Row
from engine.data.turns import Message as Message
from engine.data.turns import RowFault, make_turn, read_text, read_tools, read_turns, with_system
from engine.errors import EngineError


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


def detect_shape(rows: Sequence[Row]) -> str:
    """The shape of the rows, told from the fields of the first thousand. Raises EngineError when none fits."""
    found = Counter(_shape_of(row.fields) for row in rows[:1000])
    # Of as many, a shape with answers: what lacks one is told row by row.
    named = [(count, shape != "prompts", shape) for shape, count in found.items() if shape is not None]
    if not named:
        fields = ", ".join(sorted(rows[0].fields)) or "none"
        raise EngineError(
            f"The rows of {rows[0].source} have no known shape",
            f"line {rows[0].line} has the fields: {fields}",
            "name the columns in the recipe, for example  data: {columns: {prompt: question, completion: reply}}",
        )
    return max(named)[-1]


def convert(rows: Sequence[Row], shape: str) -> tuple[list[Example], list[Problem]]:
    """Examples in the order of the rows, and a problem for each row that can't be one."""
    converter = _CONVERTERS.get(shape)
    if converter is None:
        raise wrong_shape(rows[0].source, shape, list(_CONVERTERS))
    examples: list[Example] = []
    problems: list[Problem] = []
    for row in rows:
        try:
            examples.append(converter(row))
        except RowFault as fault:
            problems.append(Problem(row.line, fault.field, fault.reason, row.source))
    return examples, problems


def rename_columns(rows: Sequence[Row], columns: dict[str, str]) -> list[Row]:
    """The rows with the recipe's `columns` applied (wanted field: column of the file).

    A row without such a column lacks the field. Raises EngineError for a column that no row has.
    """
    for column in columns.values():
        if not any(column in row.fields for row in rows):
            raise EngineError(
                f"{rows[0].source} has no column {column!r}",
                f"line {rows[0].line} has: {', '.join(rows[0].fields)}",
                "correct data.columns in the recipe",
            )
    return [_renamed(row, columns) for row in rows]


def is_transcript(value: Any) -> bool:
    """Whether a field holds a transcript of the HH kind: `Human: … Assistant: …` in one string."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def _shape_of(fields: dict[str, Any]) -> str | None:
    # Tables give every row every column: an empty one says nothing of the shape.
    names = {name for name, value in fields.items() if value is not None}
    if {"chosen", "rejected"} <= names:
        return "hh" if is_transcript(fields["chosen"]) and "prompt" not in names else "preference"
    if {"prompt", "completion", "label"} <= names:
        return "kto"
    if "messages" in names:
        return "messages" if _is_answered(fields["messages"]) else "prompts"
    if "conversations" in names:
        return "conversations"
    if {"instruction", "output"} <= names:
        return "alpaca"
    if {"prompt", "completion"} <= names:
        return "prompt_completion"
    if {"question", "answer"} <= names:
        return "question_answer"
    if "text" in names:
        return "text"
    return "prompts" if names & {"prompt", "question", "instruction"} else None


def _is_answered(turns: Any) -> bool:
    """Whether turns end in an answer, or are of no known form, which the reading of the row tells better."""
    last = turns[-1] if isinstance(turns, list) and turns else None
    return not isinstance(last, dict) or last.get("role", last.get("from")) not in ("user", "human")


def _renamed(row: Row, columns: dict[str, str]) -> Row:
    named = {wanted: row.fields.get(column) for wanted, column in columns.items()}
    return Row(row.fields | named, row.source, row.line)


def _from_messages(row: Row) -> Conversation:
    return _conversation(row, read_turns(row, "messages"))


def _from_sharegpt(row: Row) -> Conversation:
    return _conversation(row, read_turns(row, "conversations"))


def _from_alpaca(row: Row) -> Conversation:
    instruction, output = read_text(row, "instruction"), read_text(row, "output")
    extra = row.fields.get("input") or ""
    user = f"{instruction}\n\n{extra}" if extra else instruction
    return _conversation(row, [*_history(row), make_turn("user", user), make_turn("assistant", output)])


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
    prompt, answer = row.fields.get(prompt_field), row.fields.get(answer_field)
    if isinstance(prompt, list):
        before = read_turns(row, prompt_field)
    else:
        before = [make_turn("user", read_text(row, prompt_field))]
    if isinstance(answer, (list, dict)):
        return _conversation(row, before + read_turns(row, answer_field))
    return _conversation(row, [*before, make_turn("assistant", read_text(row, answer_field))])


def _conversation(row: Row, turns: list[Message]) -> Conversation:
    messages = with_system(row, turns)
    if messages[-1]["role"] != "assistant":
        raise RowFault("messages", f"the last turn is {messages[-1]['role']}'s; there is no answer to learn")
    if not any(message["role"] == "user" for message in messages):
        raise RowFault("messages", "no turn of the user's")
    if not str(messages[-1]["content"]).strip() and not messages[-1].get("tool_calls"):
        raise RowFault("answer", "is empty")
    return Conversation(messages, row.source, row.line, read_tools(row))


_CONVERTERS: dict[str, Callable[[Row], Example]] = {
    "messages": _from_messages,
    "conversations": _from_sharegpt,
    "alpaca": _from_alpaca,
    "prompt_completion": _from_prompt_completion,
    "question_answer": _from_question_answer,
    "text": _from_text,
}
