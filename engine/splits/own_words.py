"""What each of many texts has for itself: all but the long openings and closings that several of them share.

An instruction, a table's schema, a passage before each question: what stands there makes no two rows alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# So long is an instruction, and not just a few words that sentences like to begin with.
_LONG = 12
# A text keeps so many words at least: several copies of one text that differ in a word are still seen to be copies.
_LEAST_OWN = 8


@dataclass(frozen=True)
class OwnWords:
    """A text's own words, and those that it shares with others: its opening and its closing."""

    own: list[str]
    shared: list[str]


def own_words(texts: Sequence[list[str]]) -> list[OwnWords]:
    """The own and the shared words of each text, given as its words."""
    starts = _cuts(texts)
    ends = _cuts([words[start:][::-1] for words, start in zip(texts, starts, strict=True)])
    return [
        OwnWords(words[start : len(words) - end], [*words[:start], *words[len(words) - end :]])
        for words, start, end in zip(texts, starts, ends, strict=True)
    ]


def common_start(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words the two begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _cuts(texts: Sequence[list[str]]) -> list[int]:
    """How many words of each text's beginning are shared: at least two other texts begin with them too.

    In sorted order, texts that begin alike are neighbours. A text and its copy with a slip of the pen are only two.
    """
    order = sorted({tuple(words) for words in texts})
    pairs = [0, 0, *map(common_start, order, order[1:]), 0, 0]
    trios = [min(pair) for pair in zip(pairs, pairs[1:], strict=False)]
    shared = {words: max(trios[place : place + 3]) for place, words in enumerate(order)}
    lengths = (min(shared[tuple(words)], len(words) - _LEAST_OWN) for words in texts)
    return [length if length >= _LONG else 0 for length in lengths]
