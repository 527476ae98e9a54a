"""Whether an event read from a file has the fields that its type needs, so that a damaged file can't break a reader."""

from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from rung.engine.jobs.events import EVENT_TYPES


def has_shape(event: dict[str, Any]) -> bool:
    """Whether the known fields of a known type hold values of their kinds; of an unknown type, whether it has a name.

    Numbers may be null: that is how a non-finite one is written.
    """
    kind = event.get("type")
    if not isinstance(kind, str) or not isinstance(event.get("seq", 0), int):
        return False
    if not isinstance(event.get("time", 0.0), (int, float)):
        return False
    for name, kinds, required in _fields(kind):
        if name in event:
            if not isinstance(event[name], kinds):
                return False
        elif required:
            return False
    return True


@cache
def _fields(kind: str) -> tuple[tuple[str, tuple[type, ...], bool], ...]:
    """Name, accepted kinds and whether it must be there, for each field of a type of event."""
    if kind not in EVENT_TYPES:
        return ()
    return tuple(
        (item.name, _kinds(item.type), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(EVENT_TYPES[kind])
    )


def _kinds(annotation: Any) -> tuple[type, ...]:
    if isinstance(annotation, UnionType):
        return tuple(kind for member in get_args(annotation) for kind in _kinds(member))
    kind = get_origin(annotation) or annotation
    return (int, float, NoneType) if kind is float else (kind,)
