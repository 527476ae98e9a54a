"""Kinds of values that options take; argparse shows the message and ends with code 2."""

import argparse
import math


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


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
