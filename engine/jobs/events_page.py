"""Writes docs/events.md from the event types: `python -m rung.engine.jobs.events_page > docs/events.md`."""

import dataclasses
import inspect
import types
import typing
from typing import Any

from rung.engine.jobs.events import EVENT_TYPES, VERSION, Event
from rung.engine.machine.devices import DeviceMemory

_PREFACE = f"""# Events

One run's `events.jsonl`: one JSON object a line, written by the run's worker only and flushed at once. This page is
generated from the types in `engine/jobs/events.py` by `python -m rung.engine.jobs.events_page`.

Every line begins with

| field | type | meaning |
|---|---|---|
| `v` | integer | version of this format: {VERSION} |
| `seq` | integer | counts up by one a line, also over a resume |
| `time` | number | seconds since the epoch, UTC |
| `type` | text | one of the types below |

A number that is not finite is written as `null`, and the line then has `"non_finite": true`. A reader ignores fields
that it doesn't know, shows types that it doesn't know as text, and treats a last line without its newline as not there
yet. A run has ended when its last event is `finished`, `stopped`, `cancelled`, `preempted` or `failed`; a run whose
lock is free without one of these has crashed. After `resumed`, steps later than `from_step` no longer count.
"""


def events_page() -> str:
    """The whole page as Markdown."""
    sections = [_PREFACE, *(_section(name, event) for name, event in EVENT_TYPES.items())]
    device = _table([(item.name, _type_words(item.type), "") for item in dataclasses.fields(DeviceMemory)])
    sections.append(f"## A device inside `memory`\n\n{inspect.getdoc(DeviceMemory)}\n\n{device}")
    return "\n".join(sections)


def _section(name: str, event: type[Event]) -> str:
    rows = [
        (item.name, _type_words(item.type), str(item.metadata.get("help", "")))
        for item in dataclasses.fields(event)
    ]  # fmt: skip
    return f"## {name}\n\n{inspect.getdoc(event)}\n\n{_table(rows)}"


def _table(rows: list[tuple[str, str, str]]) -> str:
    with_meaning = any(meaning for _, _, meaning in rows)
    lines = ["| field | type | meaning |", "|---|---|---|"] if with_meaning else ["| field | type |", "|---|---|"]
    for name, kind, meaning in rows:
        lines.append(f"| `{name}` | {kind} | {meaning} |" if with_meaning else f"| `{name}` | {kind} |")
    return "\n".join(lines) + "\n"


_WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Any: "anything",
    types.NoneType: "null",
    DeviceMemory: "device",
}


def _type_words(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is list:
        return f"list of {_type_words(arguments[0])}"
    if origin is dict:
        return f"object: name to {_type_words(arguments[1])}"
    return " or ".join(_type_words(argument) for argument in arguments)


if __name__ == "__main__":
    print(events_page(), end="")
