"""A scoreboard in words: the verdict's headline, and what the scores were measured on."""

from collections.abc import Mapping
from typing import Any

from rung.engine.ladder.pairs import RUNG_WORDS


def headline_of(verdict: Mapping[str, Any]) -> str:
    """The verdict in one line."""
    return str(verdict.get("headline") or f"Verdict: {verdict['rung']}")


def held_out_words(board: Mapping[str, Any]) -> str:
    """`160 held-out examples in 16 groups, looked at 12 times`, and what was corrected for these looks."""
    held_out = board["held_out"]
    groups = f" in {held_out['groups']:,} groups" if held_out.get("groups") else ""
    words = f"{held_out['n']:,} held-out examples{groups}"
    if held_out.get("looks") is not None:
        times = held_out["looks"]
        words += f", looked at {times:,} {'time' if times == 1 else 'times'} (candidates scored on them)"
    corrected = held_out.get("corrected_for") or {}
    if corrected:
        which = ", ".join(f"the best of {n} on {RUNG_WORDS[rung]}" for rung, n in corrected.items())
        words += f"; picked by these examples, so with wider intervals in the verdict: {which}"
    return words
