"""What is wrong with a file that a person wrote, in words: line, field, reason, and the nearest known name."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rung.engine.core.yaml_text import FieldPath


def describe_faults(error: ValidationError, model: type[BaseModel], lines: Mapping[FieldPath, int]) -> list[str]:
    """One sentence for each fault of values that `model` refused; `lines` says where each field stands."""
    return [_describe(fault, model, lines) for fault in error.errors()]


def by_line(faults: Sequence[str]) -> list[str]:
    """The faults from the file's first line to its last; those without a line come first."""

    def line(fault: str) -> int:
        found = re.match(r"line (\d+): ", fault)
        return int(found[1]) if found else 0

    return sorted(faults, key=line)


def count_of(faults: Sequence[str]) -> str:
    """`One fault` or `3 faults`."""
    return "One fault" if len(faults) == 1 else f"{len(faults)} faults"


def place(location: FieldPath, lines: Mapping[FieldPath, int]) -> str:
    """`line 4: data.train: `, with the line of the nearest enclosing field that has one."""
    dotted = ".".join(str(part) for part in location)
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return f"line {lines[location[:length]]}: {dotted}: "
    return f"{dotted}: "


def unknown_field(name: str, known: Sequence[str]) -> str:
    """What to say of a field that isn't one of `known`."""
    near = difflib.get_close_matches(name, known, n=1)
    return "unknown field" + (f"; did you mean {near[0]}?" if near else "")


def field_help(model: type[BaseModel], path: FieldPath) -> str:
    """The help text of a field, for example of ("training", "learning_rate"); empty where there is none."""
    if not path:
        return ""
    block = _block_at(model, path[:-1])
    info = block.model_fields.get(str(path[-1])) if block else None
    return info.description or "" if info else ""


def block_of(info: FieldInfo) -> type[BaseModel] | None:
    """The block (a pydantic model) that a field holds: itself, or None, or a list of it."""
    return next((kind for kind in _inner_types(info.annotation) if issubclass(kind, BaseModel)), None)


def _describe(fault: Any, model: type[BaseModel], lines: Mapping[FieldPath, int]) -> str:
    location: FieldPath = tuple(fault["loc"])
    if fault["type"] == "extra_forbidden":
        block = _block_at(model, location[:-1])
        return place(location, lines) + unknown_field(str(location[-1]), list(block.model_fields) if block else [])
    if fault["type"] == "missing":
        return place(location, lines) + "is missing; " + (field_help(model, location) or "it is needed")
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = fault.get("input")
    shown = f" (it is {given!r})" if isinstance(given, (str, int, float, bool)) or given is None else ""
    prefix = place(location, lines) if location else ""
    return f"{prefix}{message[:1].lower() + message[1:]}{shown if location else ''}"


def _block_at(model: type[BaseModel], path: FieldPath) -> type[BaseModel] | None:
    block: type[BaseModel] | None = model
    for key in path:
        if isinstance(key, int):
            continue  # A place in a list: the list's field has led to the block already.
        info = block.model_fields.get(key) if block else None
        block = block_of(info) if info else None
    return block


def _inner_types(annotation: Any) -> Iterator[type[Any]]:
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from _inner_types(inner)
