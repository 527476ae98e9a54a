"""Metrics on answers that should be JSON: valid, fitting a schema, with the right values in its fields."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rung.engine.metrics.words import exact_match

_FENCE = re.compile(r"\A\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_NOT_JSON = object()


def json_valid(answer: str, code_fence: bool = False) -> float:
    """1 if the answer is one JSON value and nothing else; NaN and Infinity, which JSON lacks, don't count."""
    return float(_parsed(answer, code_fence) is not _NOT_JSON)


def json_schema(answer: str, validator: Any, code_fence: bool = False) -> float:
    """1 if the answer is JSON that the validator (of jsonschema) accepts."""
    value = _parsed(answer, code_fence)
    return float(value is not _NOT_JSON and validator.is_valid(value))


def json_fields(
    answer: str, reference: str, fields: Sequence[str] | None = None, casefold: bool = False, code_fence: bool = False
) -> float | None:
    """Share of the reference's innermost fields that the answer holds with the same value; further ones don't count.

    Numbers are equal by value, texts but for white space. None if the reference is not JSON, or has no such field.
    """
    expected = _parsed(reference, code_fence=True)
    if expected is _NOT_JSON:
        return None
    wanted = {path: value for path, value in _innermost(expected) if fields is None or _counts(path, fields)}
    if not wanted:
        return None
    given = dict(_innermost(_parsed(answer, code_fence)))
    right = sum(path in given and _same(given[path], value, casefold) for path, value in wanted.items())
    return right / len(wanted)


def _parsed(text: str, code_fence: bool) -> Any:
    fenced = _FENCE.match(text) if code_fence else None
    try:
        return json.loads(fenced.group(1) if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _innermost(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value that holds no further ones, with its path; an empty list or object is one."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _innermost(inner, (*path, name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _innermost(inner, (*path, str(place)))
    elif value is not _NOT_JSON:
        yield path, value


def _counts(path: tuple[str, ...], fields: Sequence[str]) -> bool:
    dotted = ".".join(path)
    return any(dotted == field or dotted.startswith(f"{field}.") for field in fields)


def _same(given: Any, expected: Any, casefold: bool) -> bool:
    if isinstance(given, str) and isinstance(expected, str):
        return bool(exact_match(given, expected, casefold))
    # In Python True == 1; in JSON they differ.
    return isinstance(given, bool) == isinstance(expected, bool) and bool(given == expected)
