"""The shapes that rows come in, told from their fields, and the one form each becomes.

Everything that is answered becomes a `Conversation`; running text becomes a `Passage`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.data.needs import wrong_shape
from engine.data.read import Problem, Row
from engine.errors import EngineError

Message = dict[str, Any]
ROLES = ("system", "user", "assistant", "tool", "developer")
_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
             "chatgpt": "assistant", "bot": "assistant", "system": "system", "tool": "tool",
             "function_response": "tool", "observation": "tool"}  # fmt: skip


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


class RowFault(Exception):
    """A field of the row at hand that can't be used."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def detect_shape(rows: Sequence[Row]) -> str:
    """The shape of the rows, told from the fields of the first thousand. Raises EngineError when none fits."""
    found = Counter(_shape_of(row.fields) for row in rows[:1000])
    named = [(count, shape) for shape, count in found.items() if shape is not None]
    if not named:
        fields = ", ".join(sorted(rows[0].fields)) or "none"
        raise EngineError(
            f"The rows of {rows[0].source} have no known shape",
            f"line {rows[0].line} has the fields: {fields}",
            "name the columns in the recipe, for example  data: {columns: {prompt: question, completion: reply}}",
        )
    return max(named)[1]


def convert(rows: Sequence[Row], shape: str, columns: dict[str, str]) -> tuple[list[Example], list[Problem]]:
    """Examples in the order of the rows, and a problem for each row that can't be one."""
    converter = _CONVERTERS.get(shape)
    if converter is None:
        raise wrong_shape(rows[0].source, shape, list(_CONVERTERS))
    examples: list[Example] = []
    problems: list[Problem] = []
    for row in rows:
        try:
            examples.append(converter(_renamed(row, columns)))
        except RowFault as fault:
            problems.append(Problem(row.line, fault.field, fault.reason, row.source))
    return examples, problems


def rename_columns(rows: Sequence[Row], columns: dict[str, str]) -> list[Row]:
    """The rows with the recipe's `columns` applied (wanted field: column of the file)."""
    return [_renamed(row, columns) for row in rows] if columns else list(rows)


def is_transcript(value: Any) -> bool:
    """Whether a field holds a transcript of the HH kind: `Human: … Assistant: …` in one string."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def _shape_of(fields: dict[str, Any]) -> str | None:
    names = set(fields)
    if {"chosen", "rejected"} <= names:
        return "hh" if is_transcript(fields["chosen"]) and "prompt" not in names else "preference"
    if {"prompt", "completion", "label"} <= names:
        return "kto"
    if "messages" in names:
        return "messages"
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
    return "prompts" if "prompt" in names else None


def _renamed(row: Row, columns: dict[str, str]) -> Row:
    if not columns:
        return row
    missing = [column for column in columns.values() if column not in row.fields]
    if missing:
        raise EngineError(
            f"{row.source} has no column {missing[0]!r}", f"line {row.line} has: {', '.join(row.fields)}",
            "correct data.columns in the recipe",
        )  # fmt: skip
    return Row(row.fields | {wanted: row.fields[column] for wanted, column in columns.items()}, row.source, row.line)


def _from_messages(row: Row) -> Conversation:
    return _conversation(row, read_turns(row, "messages", "role", "content"))


def _from_sharegpt(row: Row) -> Conversation:
    turns = read_turns(row, "conversations", "from", "value")
    for number, turn in enumerate(turns):
        if turn["role"] not in _SPEAKERS:
            raise RowFault(f"conversations[{number}].from", f"{turn['role']!r} is not a known speaker")
    return _conversation(row, [{**turn, "role": _SPEAKERS[turn["role"]]} for turn in turns])


def _from_alpaca(row: Row) -> Conversation:
    instruction, output = read_text(row, "instruction"), read_text(row, "output")
    extra = row.fields.get("input") or ""
    user = f"{instruction}\n\n{extra}" if extra else instruction
    return _conversation(row, [*system_turns(row), make_turn("user", user), make_turn("assistant", output)])


def _from_prompt_completion(row: Row) -> Conversation:
    return _prompted(row, "prompt", "completion")


def _from_question_answer(row: Row) -> Conversation:
    return _prompted(row, "question", "answer")


def _from_text(row: Row) -> Passage:
    return Passage(read_text(row, "text"), row.source, row.line)


def _prompted(row: Row, prompt_field: str, answer_field: str) -> Conversation:
    prompt, answer = row.fields.get(prompt_field), row.fields.get(answer_field)
    if isinstance(prompt, list):
        before = read_turns(row, prompt_field, "role", "content")
    else:
        before = [*system_turns(row), make_turn("user", read_text(row, prompt_field))]
    if isinstance(answer, list):
        return _conversation(row, before + read_turns(row, answer_field, "role", "content"))
    return _conversation(row, [*before, make_turn("assistant", read_text(row, answer_field))])


def read_turns(row: Row, field: str, role_key: str, content_key: str) -> list[Message]:
    """A field that holds turns, as messages. Raises RowFault for what is not one."""
    turns = row.fields.get(field)
    if not isinstance(turns, list) or not turns:
        raise RowFault(field, "is not a list of turns" if turns else "is missing or empty")
    messages = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or role_key not in turn:
            raise RowFault(f"{field}[{number}]", f"a turn is an object with {role_key} and {content_key}")
        content = turn.get(content_key)
        if content is None and not turn.get("tool_calls"):
            raise RowFault(f"{field}[{number}].{content_key}", "is missing")
        if content is not None and not isinstance(content, (str, list)):
            raise RowFault(f"{field}[{number}].{content_key}", f"is {type(content).__name__}, not text")
        rest = {key: value for key, value in turn.items() if key not in {role_key, content_key}}
        messages.append({"role": turn[role_key], "content": content if content is not None else "", **rest})
    return messages


def _conversation(row: Row, messages: list[Message]) -> Conversation:
    for number, message in enumerate(messages):
        if message["role"] not in ROLES:
            raise RowFault(f"turn {number + 1}", f"role {message['role']!r} is not one of {', '.join(ROLES)}")
    if messages[-1]["role"] != "assistant":
        raise RowFault("messages", f"the last turn is {messages[-1]['role']}'s; there is no answer to learn")
    if not any(message["role"] == "user" for message in messages):
        raise RowFault("messages", "no turn of the user's")
    if not str(messages[-1]["content"]).strip() and not messages[-1].get("tool_calls"):
        raise RowFault("answer", "is empty")
    return Conversation(messages, row.source, row.line, row.fields.get("tools"))


def read_text(row: Row, field: str) -> str:
    """A field's text. Raises RowFault when it is missing, empty or something else."""
    value = row.fields.get(field)
    if value is None:
        raise RowFault(field, "is missing")
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise RowFault(field, f"is {type(value).__name__}, not text")
    if not value.strip():
        raise RowFault(field, "is empty")
    return value


def system_turns(row: Row) -> list[Message]:
    """The row's `system` field as a turn, where it has one."""
    system = row.fields.get("system")
    return [make_turn("system", system)] if isinstance(system, str) and system.strip() else []


def make_turn(role: str, content: str) -> Message:
    """One message."""
    return {"role": role, "content": content}


_CONVERTERS: dict[str, Callable[[Row], Example]] = {
    "messages": _from_messages,
    "conversations": _from_sharegpt,
    "alpaca": _from_alpaca,
    "prompt_completion": _from_prompt_completion,
    "question_answer": _from_question_answer,
    "text": _from_text,
}
