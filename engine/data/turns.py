"""Chat turns out of a row's fields, whatever the data set calls its speakers and its columns."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rung.engine.data.read import Problem, Row

Example = TypeVar("Example")
Message = dict[str, Any]
ROLES = ("system", "user", "assistant", "tool", "developer")
_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
             "chatgpt": "assistant", "bot": "assistant", "system": "system", "tool": "tool",
             "function_call": "assistant", "function_response": "tool", "observation": "tool"}  # fmt: skip


class RowFault(Exception):
    """A field of the row at hand that can't be used."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def read_each(rows: Sequence[Row], read: Callable[[Row], Example]) -> tuple[list[tuple[Row, Example]], list[Problem]]:
    """What `read` makes of each row, beside the row; and a problem for each row that it can't use."""
    found: list[tuple[Row, Example]] = []
    problems: list[Problem] = []
    for row in rows:
        try:
            found.append((row, read(row)))
        except RowFault as fault:
            problems.append(Problem(row.line, fault.field, fault.reason, row.source, row.unit))
    return found, problems


def read_turns(row: Row, field: str) -> list[Message]:
    """A field that holds turns (role and content, or from and value), as messages. Raises RowFault for what is not."""
    turns = _from_json(row.fields.get(field))
    if isinstance(turns, dict):
        turns = [turns]
    if not isinstance(turns, list) or not turns:
        raise RowFault(field, "is not a list of turns" if turns else "is missing or empty")
    return [_message(turn, f"{field}[{number}]") for number, turn in enumerate(turns)]


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


def read_answer(row: Row, field: str) -> list[Message]:
    """A field's answer as turns. Of several accepted texts the first is the answer. Raises RowFault."""
    value = row.fields.get(field)
    if isinstance(value, dict) and "role" not in value and "from" not in value:
        # SQuAD's {text: [...], answer_start: [...]}, TriviaQA's {value: …, aliases: [...]}.
        value = next((value[name] for name in ("text", "value", "content") if name in value), value)
    if isinstance(value, list) and not (value and isinstance(value[0], dict)):
        value = value[0] if value else ""
    if isinstance(value, (list, dict)):
        return read_turns(row, field)
    return [make_turn("assistant", read_text(row.with_fields({field: value}), field))]


def system_turns(row: Row) -> list[Message]:
    """The row's `system` field as a turn, where it has one."""
    system = row.fields.get("system")
    return [make_turn("system", system)] if isinstance(system, str) and system.strip() else []


def with_system(row: Row, messages: list[Message]) -> list[Message]:
    """The turns behind the row's `system` field, unless they begin with one of their own."""
    _refuse_media(row, messages)
    return messages if messages and messages[0]["role"] in ("system", "developer") else system_turns(row) + messages


def _refuse_media(row: Row, messages: list[Message]) -> None:
    """Raise RowFault where the text points to a picture, a video or a sound of the row's by `<image>` and the like."""
    for kind in ("image", "video", "audio"):
        for field in (kind, f"{kind}s"):
            if row.fields.get(field) and any(f"<{kind}>" in str(turn["content"]) for turn in messages):
                raise RowFault(field, f"holds {kind} that the text points to (<{kind}>): only text can be learned here")


def read_tools(row: Row) -> list[Any] | None:
    """The row's tools, also where they are written as JSON text; None where it has none."""
    tools = _from_json(row.fields.get("tools"))
    if not tools:
        return None
    if not isinstance(tools, list):
        raise RowFault("tools", f"is {type(tools).__name__}, not a list of tools")
    return [_without_nothings(tool) for tool in tools]


def make_turn(role: str, content: str) -> Message:
    """One message."""
    return {"role": role, "content": content}


def _message(turn: Any, field: str) -> Message:
    by_speaker = isinstance(turn, dict) and "role" not in turn and "from" in turn
    keys = ("from", "value") if by_speaker else ("role", "content")
    role_key, content_key = keys
    if not isinstance(turn, dict) or not isinstance(turn.get(role_key), str):
        raise RowFault(field, "a turn is an object with role and content, or with from and value")
    given = turn[role_key]
    role = given if given in ROLES else _SPEAKERS.get(given.lower())
    if role is None:
        raise RowFault(f"{field}.{role_key}", f"{given!r} is not a known speaker: {', '.join((*ROLES, *_SPEAKERS))}")
    content = turn.get(content_key)
    rest = {
        name: _without_nothings(value)
        for name, value in turn.items()
        if name not in keys and value is not None
    }  # fmt: skip
    _read_weight(rest, role, field)
    content = _without_special_parts(content, rest, f"{field}.{content_key}")
    rest["tool_calls"] = _tool_calls(rest.get("tool_calls"), f"{field}.tool_calls")
    if given == "function_call":
        rest["tool_calls"], content = _tool_calls(content, f"{field}.{content_key}"), ""
    if not rest["tool_calls"]:
        del rest["tool_calls"]
    if content is None and not rest.get("tool_calls"):
        raise RowFault(f"{field}.{content_key}", "is missing")
    return {"role": role, "content": _text_of(content, f"{field}.{content_key}"), **rest}


def _read_weight(rest: Message, role: str, field: str) -> None:
    """A turn's weight in the loss, 0 or 1, under the name `weight`: LLaMA-Factory's `loss_weight` is OpenAI's `weight`.

    Raises RowFault for a weight that can't be kept: a turn is learned, or it is not.
    """
    for name in ("loss_weight", "weight"):
        weight = rest.pop(name, None)
        if weight is None:
            continue
        if isinstance(weight, bool) or weight not in (0, 1):
            raise RowFault(f"{field}.{name}", f"is {weight!r}: a turn is learned (1) or not (0)")
        if role == "assistant":
            rest["weight"] = int(weight)
        elif weight == 1:
            raise RowFault(f"{field}.{name}", f"is 1 on a turn of the {role}'s: only answers are learned")


def _without_special_parts(content: Any, rest: Message, field: str) -> Any:
    """The content without parts that are reasoning or tool calls, which are put where messages have them."""
    if not isinstance(content, list):
        return content
    kept = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        value = part.get("value", part.get("text")) if isinstance(part, dict) else None
        if kind == "reasoning" and isinstance(value, str):
            rest["reasoning_content"] = rest.get("reasoning_content", "") + value
        elif kind == "tool_call":
            rest["tool_calls"] = [*(rest.get("tool_calls") or []), *_tool_calls(value, field)]
        else:
            kept.append(part)
    return kept


def _text_of(content: Any, field: str) -> str:
    """A turn's text: as it is, or joined from its parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowFault(field, f"is {type(content).__name__}, not text")
    parts = []
    for part in content:
        text = part
        if isinstance(part, dict) and part.get("type", "text") in ("text", "input_text", "output_text"):
            text = part.get("value") if part.get("text") is None else part["text"]
        if not isinstance(text, str):
            raise RowFault(field, f"holds {_kind_of(part)}: only text can be learned here")
        parts.append(text)
    return "".join(parts)


def _kind_of(part: Any) -> str:
    """What a part that is no text is called: image_url, audio."""
    if not isinstance(part, dict):
        return type(part).__name__
    return str(part.get("type") or next(iter(part), "something else"))


def _tool_calls(value: Any, field: str) -> list[Any]:
    """Calls as templates take them: each an object with a function's name and arguments."""
    calls = _from_json(value)
    if isinstance(calls, dict):
        calls = [calls]
    calls = calls or []
    if not isinstance(calls, list):
        raise RowFault(field, "is not a list of tool calls")
    found = []
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowFault(field, "a tool call is an object with a function's name and arguments")
        found.append(call if "function" in call else {"type": "function", "function": function})
    return found


def _from_json(value: Any) -> Any:
    """Turns, tools and calls that stand in a text cell, as tables have them."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _without_nothings(value: Any) -> Any:
    """The value without the empty fields that tables put where other rows have something."""
    if isinstance(value, dict):
        return {name: _without_nothings(item) for name, item in value.items() if item is not None}
    return [_without_nothings(item) for item in value] if isinstance(value, list) else value
