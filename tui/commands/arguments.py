"""Kinds of values that options take; argparse shows the message and ends with code 2."""

import argparse
import math
import re
from collections.abc import Sequence

from rung.engine.core.errors import EngineError

_BETWEEN_PAIRS = re.compile(r",(?=[^,=]+=)")


def positive_int(text: str) -> int:
    """1, 2, 3 and so on."""
    value = int(text) if text.lstrip("+-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def not_negative(text: str) -> float:
    """A number that is 0 or more."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def number(text: str) -> float:
    """Any number that is one."""
    value = _number(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def share(text: str) -> float:
    """A number above 0 and up to 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1")
    return value


def add_fetch_argument(parser: argparse.ArgumentParser) -> None:
    """`--fetch`, for commands whose job loads models."""
    parser.add_argument(
        "--fetch", action="store_true", help="bring models that are not on this machine from the hub first"
    )


def columns(texts: Sequence[str]) -> dict[str, str]:
    """FIELD=COLUMN as many times as it was written, also with commas between. Raises EngineError for what is not."""
    from rung.engine.recipe.column_names import check_fields

    found: dict[str, str] = {}
    for text in texts:
        for pair in _BETWEEN_PAIRS.split(text):
            field, _, column = (part.strip() for part in pair.partition("="))
            if not field or not column:
                raise EngineError(
                    f"--columns takes FIELD=COLUMN, not {pair!r}", hint="for example --columns prompt=question"
                )
            if found.setdefault(field, column) != column:
                raise EngineError(f"--columns says twice which column is {field}", f"{found[field]}, and {column}")
    check_fields(found)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
