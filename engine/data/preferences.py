"""Preference pairs: a prompt with a preferred and a rejected answer, out of the shapes they come in.

The prompt stands in a field of its own, or in front of both answers (turns or text that the two share), or in HH
transcripts (`Human: … Assistant: …`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.data.columns import is_transcript
from rung.engine.data.read import Problem, Row
from rung.engine.data.shapes import Conversation
from rung.engine.data.turns import (
    Message,
    RowFault,
    make_turn,
    read_each,
    read_text,
    read_tools,
    read_turns,
    system_turns,
    with_system,
)

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]*")
_PROMPT_FIELDS = ("prompt", "messages", "conversations", "question", "instruction")


@dataclass(frozen=True)
class Pair:
    """Turns that end in the user's, and two answers to them, the first preferred."""

    prompt: list[Message]
    chosen: Message
    rejected: Message
    source: str
    line: int
    tools: list[Any] | None = None

    @property
    def reference(self) -> str:
        """The preferred answer."""
        return str(self.chosen["content"])

    @property
    def conversations(self) -> tuple[Conversation, Conversation]:
        """The prompt with the preferred answer, and with the rejected one."""
        return (
            Conversation([*self.prompt, self.chosen], self.source, self.line, self.tools),
            Conversation([*self.prompt, self.rejected], self.source, self.line, self.tools),
        )


def pairs_from(rows: Sequence[Row]) -> tuple[list[Pair], list[Problem]]:
    """Pairs in the order of the rows, and a problem for each row that can't be one."""
    found, problems = read_each(rows, read_pair)
    return [pair for _, pair in found], problems


def read_pair(row: Row) -> Pair:
    """The row's pair. Raises RowFault."""
    chosen, rejected = _answer(row, "chosen"), _answer(row, "rejected")
    if chosen == rejected:
        raise RowFault("rejected", "both answers are the same: nothing can be learned from them")
    field = next((name for name in _PROMPT_FIELDS if row.fields.get(name)), None)
    if field is not None:
        prompt = _explicit_prompt(row, field)
        chosen, rejected = _without(prompt, chosen), _without(prompt, rejected)
    elif isinstance(chosen, str) and isinstance(rejected, str):
        prompt, chosen, rejected = _split_text(chosen, rejected)
        prompt = [*system_turns(row), *prompt]
    elif isinstance(chosen, list) and isinstance(rejected, list):
        prompt, chosen, rejected = _split_turns(chosen, rejected)
        prompt = with_system(row, prompt) if prompt else prompt
    else:
        raise RowFault("rejected", "one answer is text and the other turns")
    _check_prompt(prompt)
    last, other = _last_turn(chosen, "chosen"), _last_turn(rejected, "rejected")
    if last == other:
        raise RowFault("rejected", "both answers are the same: nothing can be learned from them")
    return Pair(prompt, last, other, row.source, row.line, read_tools(row))


def _answer(row: Row, field: str) -> str | list[Message]:
    value = row.fields.get(field)
    if isinstance(value, dict) and isinstance(value.get("content"), str) and "role" not in value:
        return [make_turn("assistant", value["content"])]
    if isinstance(value, (list, dict)):
        return read_turns(row, field)
    text = read_text(row, field)
    return _transcript(text, field) if is_transcript(text) else text


def _explicit_prompt(row: Row, field: str) -> list[Message]:
    value = row.fields[field]
    if isinstance(value, list):
        return with_system(row, read_turns(row, field))
    text = read_text(row, field)
    if is_transcript(text) or text.lstrip().startswith("Human:"):
        turns = _transcript(text, field)
        return turns[:-1] if turns[-1]["role"] == "assistant" and not turns[-1]["content"] else turns
    extra = row.fields.get("input") if field == "instruction" else None
    return [*system_turns(row), make_turn("user", f"{text}\n\n{extra}" if extra else text)]


def _without(prompt: list[Message], answer: str | list[Message]) -> str | list[Message]:
    """The answer's own turns, where the prompt's stand before them once more."""
    if isinstance(answer, str) or len(answer) == 1:
        return answer
    users = [turn["content"] for turn in prompt if turn["role"] == "user"]
    before = [turn["content"] for turn in answer[:-1] if turn["role"] == "user"]
    return answer[-1:] if before == users else answer


def _split_turns(chosen: list[Message], rejected: list[Message]) -> tuple[list[Message], list[Message], list[Message]]:
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _split_text(chosen: str, rejected: str) -> tuple[list[Message], str, str]:
    """The text that both begin with, up to its last space or line end, is the prompt."""
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    while shared > 0 and not chosen[shared - 1].isspace():
        shared -= 1
    if not chosen[:shared].strip():
        raise RowFault("prompt", "is missing, and the two answers share no beginning that could be it")
    return [make_turn("user", chosen[:shared].strip())], chosen[shared:].strip(), rejected[shared:].strip()


def _transcript(text: str, field: str) -> list[Message]:
    marks = list(_TURN.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        raise RowFault(field, "is not a transcript that begins with Human:")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [make_turn(roles[mark[1]], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]


def _check_prompt(prompt: list[Message]) -> None:
    if not prompt:
        raise RowFault("prompt", "is missing: the two answers share no turns before they differ")
    if prompt[-1]["role"] not in ("user", "tool"):
        raise RowFault("prompt", f"ends in {prompt[-1]['role']}'s turn; an answer follows the user's")


def _last_turn(answer: str | list[Message], field: str) -> Message:
    if isinstance(answer, str):
        if not answer.strip():
            raise RowFault(field, "is empty once the shared beginning is taken off")
        return make_turn("assistant", answer)
    if len(answer) != 1:
        reason = "has no answer after the shared turns" if not answer else "the two part before their last answer"
        raise RowFault(field, reason)
    if answer[0]["role"] != "assistant":
        raise RowFault(field, f"ends in {answer[0]['role']}'s turn, not in an answer")
    if not str(answer[0]["content"]).strip() and not answer[0].get("tool_calls"):
        raise RowFault(field, "is empty")
    if answer[0].get("weight") == 0:
        raise RowFault(field, "has the weight 0: there is no answer to learn")
    return answer[0]
