"""Questions of one pattern that differ in what they ask about: "legs of the gak", "legs of the yoodox"."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from rung.engine.splits.own_words import common_start

# A pattern has so many words in common at least, and so many things that are asked about in it.
_PATTERN_WORDS, _FILLERS = 3, 3
_SLIP, _SHORT = 0.8, 8
_CAPITALISED = re.compile(r"\b[^\W\d_a-z]\w*")


class Patterns:
    """The questions of many rows, as texts and as their plain words."""

    def __init__(self, texts: Sequence[str], questions: Sequence[list[str]]) -> None:
        self._texts = texts
        self._questions = questions
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}
        self._forwards = sorted({tuple(words) for words in questions})
        self._backwards = sorted({tuple(words[::-1]) for words in questions})

    def differ_in_one(self, a: int, b: int, names_tell: bool = True) -> bool:
        """Whether two questions differ in one stretch of words only, which says what each is about.

        It does where it is a name or a number in both (if `names_tell`), and where others of their pattern differ in it
        too; not where the two are spelled nearly alike: that is a copy with a slip of the pen.
        """
        one, other = self._questions[a], self._questions[b]
        before = common_start(one, other)
        after = common_start(one[before:][::-1], other[before:][::-1])
        fillers = [words[before : len(words) - after] for words in (one, other)]
        if before + after < _PATTERN_WORDS or not all(fillers):
            return False
        names = names_tell and before > 0 and all(map(self._names_something, (a, b), fillers))
        if not names and not self._is_pattern(tuple(one[:before]), tuple(one[len(one) - after :])):
            return False
        return not _spelled_alike(*fillers)

    def _is_pattern(self, before: tuple[str, ...], after: tuple[str, ...]) -> bool:
        """Whether several different things stand between these words."""
        if (before, after) not in self._known:
            found: set[tuple[str, ...]] = set()
            for filler in self._fillers(before, after):
                found.add(filler)
                if len(found) >= _FILLERS:
                    break
            self._known[before, after] = len(found) >= _FILLERS
        return self._known[before, after]

    def _names_something(self, place: int, filler: list[str]) -> bool:
        """Whether all these words are numbers, or are written with a capital within the question."""
        capitals = {word.casefold() for word in _CAPITALISED.findall(self._texts[place])}
        return all(word.isdecimal() or word in capitals for word in filler)

    def _fillers(self, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """What stands between these words at the beginning and those at the end of all questions that have both."""
        if len(before) >= len(after):
            for words in _that_begin(self._forwards, before):
                rest = words[len(before) :]
                if len(rest) > len(after) and rest[len(rest) - len(after) :] == after:
                    yield rest[: len(rest) - len(after)]
        else:
            for words in _that_begin(self._backwards, after[::-1]):
                rest = words[len(after) :][::-1]
                if len(rest) > len(before) and rest[: len(before)] == before:
                    yield rest[len(before) :]


def _spelled_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two stretches of words are nearly the same: short ones letter by letter, long ones by their words."""
    if max(len(one), len(other)) > _SHORT:
        return len({*one} & {*other}) >= _SLIP * len({*one, *other})
    matcher = SequenceMatcher(None, " ".join(one), " ".join(other))
    return matcher.real_quick_ratio() >= _SLIP and matcher.quick_ratio() >= _SLIP and matcher.ratio() >= _SLIP


def _that_begin(ordered: Sequence[tuple[str, ...]], start: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    place = bisect_left(ordered, start)
    while place < len(ordered) and ordered[place][: len(start)] == start:
        yield ordered[place]
        place += 1
