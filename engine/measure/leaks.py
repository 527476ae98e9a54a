"""Held-out rows that stand in the training data too: word for word, nearly, asked alike, or within longer text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from engine.measure.near_duplicates import SIMILARITY, ShingleSets
from engine.measure.rows import Row, plain_words, row_parts, row_text

Kind = Literal["verbatim", "near", "same question", "contained"]
# Fewer words than these stand in longer texts by chance; the first four of them are looked up before the whole.
_CONTENT_WORDS, _QUESTION_WORDS, _START = 8, 6, 4
# A pattern of questions: so many words in common at least, and so many things that are asked about in it.
_PATTERN_WORDS, _FILLERS = 3, 3
_SLIP = 0.8
_CAPITALISED = re.compile(r"\b[^\W\d_a-z]\w*")


@dataclass(frozen=True)
class Leak:
    """One held-out row and the training row most like it; both numbered from 1 in the order given."""

    test_row: int
    train_row: int
    kind: Kind
    similarity: float
    text: str


def find_leaks(train_rows: Sequence[Row], test_rows: Sequence[Row]) -> list[Leak]:
    """The held-out rows that the training rows give away, in order, each with its closest training row.

    verbatim: the same words, whatever case and punctuation; near: most that matters in common (`near_duplicates`),
    and not just two of several questions of one pattern, each about another thing;
    same question: asked in the same words, answered in others, unless many rows ask it; contained: the whole row within
    a longer one (a conversation of several turns), or its question within running text.
    """
    found = _verbatim(train_rows, test_rows)
    others = (_near, _same_question, _contained)
    for leak in (leak for look in others for leak in look(train_rows, test_rows)):
        known = found.get(leak.test_row)
        if known is None or (leak.kind == known.kind == "near" and leak.similarity > known.similarity):
            found[leak.test_row] = leak
    return [found[row] for row in sorted(found)]


def question_limit(num_rows: int) -> int:
    """How many rows may ask the same before it is a common instruction: one in a hundred, at least 20, at most half."""
    return max(2, min(20, num_rows // 2), num_rows // 100)


def plain_question(row: Row) -> str:
    """What the row asks, in plain words; empty where it asks nothing."""
    return " ".join(plain_words(row_parts(row)[0]))


def plain_content(row: Row) -> str:
    """All that the row says, in plain words."""
    return " ".join(plain_words(row_text(row)))


def _verbatim(train_rows: Sequence[Row], test_rows: Sequence[Row]) -> dict[int, Leak]:
    places: dict[str, int] = {}
    for number, row in enumerate(train_rows, start=1):
        places.setdefault(plain_content(row), number)
    leaks = {}
    for number, row in enumerate(test_rows, start=1):
        content = plain_content(row)
        if content and content in places:
            leaks[number] = Leak(number, places[content], "verbatim", 1.0, _excerpt(row))
    return leaks


def _near(train_rows: Sequence[Row], test_rows: Sequence[Row]) -> list[Leak]:
    sets = ShingleSets([row_text(row) for row in (*train_rows, *test_rows)])
    slots = _Slots([row_parts(row)[0] for row in (*train_rows, *test_rows)])
    leaks = []
    for a, b in sets.candidates():
        if a >= len(train_rows) or b < len(train_rows):
            continue
        similarity = sets.similarity(a, b)
        if similarity >= SIMILARITY and not slots.differ_in_one(a, b):
            test_row = b - len(train_rows)
            leaks.append(Leak(test_row + 1, a + 1, "near", similarity, _excerpt(test_rows[test_row])))
    return leaks


class _Slots:
    """Questions of one pattern that differ in what they ask about: "legs of the gak", "legs of the yoodox"."""

    def __init__(self, questions: Sequence[str]) -> None:
        self._texts = questions
        self._questions = [plain_words(question) for question in questions]
        self._fillers: dict[tuple[int, int], dict[tuple[str, ...], set[tuple[str, ...]]]] = {}

    def differ_in_one(self, a: int, b: int) -> bool:
        """Whether two questions differ in one stretch of words only, which says what each is about.

        It does where it is a name or a number in both, and where others of their pattern differ in it too; not where
        the two are spelled nearly alike: that is a copy with a slip of the pen.
        """
        one, other = self._questions[a], self._questions[b]
        before = _common_start(one, other)
        after = _common_start(one[before:][::-1], other[before:][::-1])
        fillers = [words[before : len(words) - after] for words in (one, other)]
        if before + after < _PATTERN_WORDS or not all(fillers):
            return False
        if SequenceMatcher(None, " ".join(fillers[0]), " ".join(fillers[1])).ratio() >= _SLIP:
            return False
        if before and all(map(self._names_something, (a, b), fillers)):
            return True
        pattern = (*one[:before], *one[len(one) - after :])
        return len(self._by_pattern(before, after)[pattern]) >= _FILLERS

    def _names_something(self, place: int, filler: list[str]) -> bool:
        """Whether all these words are numbers, or are written with a capital within the question."""
        capitals = {word.casefold() for word in _CAPITALISED.findall(self._texts[place])}
        return all(word.isdecimal() or word in capitals for word in filler)

    def _by_pattern(self, before: int, after: int) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
        """What stands between the first and the last words of all questions, by those words."""
        if (before, after) not in self._fillers:
            found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
            for words in self._questions:
                end = len(words) - after
                if end > before:
                    found.setdefault((*words[:before], *words[end:]), set()).add(tuple(words[before:end]))
            self._fillers[before, after] = found
        return self._fillers[before, after]


def _common_start(one: Sequence[str], other: Sequence[str]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _same_question(train_rows: Sequence[Row], test_rows: Sequence[Row]) -> list[Leak]:
    askers: dict[str, list[int]] = {}
    for number, row in enumerate(train_rows, start=1):
        askers.setdefault(plain_question(row), []).append(number)
    limit = question_limit(len(train_rows) + len(test_rows))
    leaks = []
    for number, row in enumerate(test_rows, start=1):
        question = plain_question(row)
        same = askers.get(question, [])
        if question and 0 < len(same) <= limit:
            leaks.append(Leak(number, same[0], "same question", 1.0, _excerpt(row)))
    return leaks


def _contained(train_rows: Sequence[Row], test_rows: Sequence[Row]) -> list[Leak]:
    contents = _Needles([plain_content(row) for row in test_rows], _CONTENT_WORDS)
    questions = _Needles([plain_question(row) for row in test_rows], _QUESTION_WORDS)
    holders: dict[int, list[int]] = {}
    for number, row in enumerate(train_rows, start=1):
        asked, answered = (plain_words(part) for part in row_parts(row))
        # Of running text nothing is asked: there a question is enough, whatever stands between it and its answer.
        for needles in (contents,) if asked else (contents, questions):
            for place in needles.found_in([*asked, *answered]):
                holders.setdefault(place, []).append(number)
    limit = question_limit(len(train_rows) + len(test_rows))
    return [
        Leak(place + 1, numbers[0], "contained", 1.0, _excerpt(test_rows[place]))
        for place, numbers in holders.items()
        if len(numbers) <= limit
    ]


class _Needles:
    """Texts of plain words that are looked for within longer ones; those shorter than `shortest` words are not."""

    def __init__(self, texts: Sequence[str], shortest: int) -> None:
        self._by_start: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        self._shortest = shortest
        for place, text in enumerate(texts):
            words = text.split()
            if len(words) >= shortest:
                self._by_start.setdefault(tuple(words[:_START]), []).append((place, f" {text} "))

    def found_in(self, words: list[str]) -> list[int]:
        """Places of the texts that stand within the words, and are not all of them."""
        if len(words) <= self._shortest or not self._by_start:
            return []
        starts = set(zip(words, words[1:], words[2:], words[3:], strict=False)) & self._by_start.keys()
        if not starts:
            return []
        whole = f" {' '.join(words)} "
        return sorted(
            place
            for start in starts
            for place, text in self._by_start[start]
            if len(text) < len(whole) and text in whole
        )


def _excerpt(row: Row, length: int = 80) -> str:
    flat = " ".join(row_text(row).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
