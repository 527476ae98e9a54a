"""Held-out rows that stand in the training data too: word for word, nearly, asked alike, or within longer text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rung.engine.data.content import Content, content_of_row
from rung.engine.data.row_text import Row, plain_words
from rung.engine.splits.alike import near_pairs

Kind = Literal["verbatim", "near", "same question", "contained"]
# Fewer words than these stand in longer texts by chance; a run of four of them is looked up before the whole.
_CONTENT_WORDS, _QUESTION_WORDS, _RUN = 8, 6, 4


@dataclass(frozen=True)
class Leak:
    """One held-out row and the training row most like it; both numbered from 1 in the order given."""

    test_row: int
    train_row: int
    kind: Kind
    similarity: float
    text: str


def find_leaks(
    train_rows: Sequence[Row], test_rows: Sequence[Row], columns: Mapping[str, str] | None = None
) -> list[Leak]:
    """The held-out rows that the training rows give away, in order, each with its closest training row.

    verbatim: the same words, whatever case and punctuation; near: most that matters in common (`alike`);
    same question: asked in the same words, answered in others, unless many rows ask it; contained: the whole row within
    a longer one (a conversation of several turns), or its question within running text. `columns` is as in a recipe.
    """
    train, test = ([content_of_row(row, columns) for row in rows] for rows in (train_rows, test_rows))
    return leaks_between(train, test)


def leaks_between(train: Sequence[Content], test: Sequence[Content]) -> list[Leak]:
    """The same for rows that are read already."""
    found = _verbatim(train, test)
    others = (_near, _same_question, _contained)
    for leak in (leak for look in others for leak in look(train, test)):
        known = found.get(leak.test_row)
        if known is None or (leak.kind == known.kind == "near" and leak.similarity > known.similarity):
            found[leak.test_row] = leak
    return [found[row] for row in sorted(found)]


def question_limit(num_rows: int) -> int:
    """How many rows may ask the same before it is a common instruction: one in a hundred, at least 20, at most half."""
    return max(2, min(20, num_rows // 2), num_rows // 100)


def plain_question(content: Content) -> str:
    """What the row asks, in plain words; empty where it asks nothing."""
    return " ".join(plain_words(content.asked))


def plain_content(content: Content) -> str:
    """All that the row says, in plain words."""
    return " ".join(plain_words(content.text))


def _verbatim(train: Sequence[Content], test: Sequence[Content]) -> dict[int, Leak]:
    places: dict[str, int] = {}
    for number, content in enumerate(train, start=1):
        places.setdefault(plain_content(content), number)
    leaks = {}
    for number, content in enumerate(test, start=1):
        plain = plain_content(content)
        if plain and plain in places:
            leaks[number] = Leak(number, places[plain], "verbatim", 1.0, _excerpt(content))
    return leaks


def _near(train: Sequence[Content], test: Sequence[Content]) -> list[Leak]:
    return [
        Leak(b - len(train) + 1, a + 1, "near", similarity, _excerpt(test[b - len(train)]))
        for a, b, similarity in near_pairs([*train, *test], border=len(train))
    ]


def _same_question(train: Sequence[Content], test: Sequence[Content]) -> list[Leak]:
    asked_in_test = [plain_question(content) for content in test]
    askers: dict[str, list[int]] = {question: [] for question in asked_in_test}
    for number, content in enumerate(train, start=1):
        question = plain_question(content)
        if question in askers:
            askers[question].append(number)
    times = Counter(asked_in_test)
    limit = question_limit(len(train) + len(test))
    return [
        Leak(number, askers[question][0], "same question", 1.0, _excerpt(content))
        for number, (question, content) in enumerate(zip(asked_in_test, test, strict=True), start=1)
        if question and askers[question] and len(askers[question]) + times[question] <= limit
    ]


def _contained(train: Sequence[Content], test: Sequence[Content]) -> list[Leak]:
    contents = _Needles([plain_content(content) for content in test], _CONTENT_WORDS)
    questions = _Needles([plain_question(content) for content in test], _QUESTION_WORDS)
    holders: dict[int, list[int]] = {}
    for number, content in enumerate(train, start=1):
        words = plain_words(content.text)
        # Of running text nothing is asked: there a question is enough, whatever stands between it and its answer.
        for needles in (contents,) if content.asked else (contents, questions):
            for place in needles.found_in(words):
                holders.setdefault(place, []).append(number)
    limit = question_limit(len(train) + len(test))
    return [
        Leak(place + 1, numbers[0], "contained", 1.0, _excerpt(test[place]))
        for place, numbers in holders.items()
        if len(numbers) <= limit
    ]


class _Needles:
    """Texts of plain words that are looked for within longer ones; those shorter than `shortest` words are not."""

    def __init__(self, texts: Sequence[str], shortest: int) -> None:
        self._shortest = shortest
        runs = {place: _runs(words) for place, text in enumerate(texts) if len(words := text.split()) >= shortest}
        times = Counter(run for one in runs.values() for run in one)
        # By the run that fewest of them have: many may begin alike.
        self._by_run: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        for place, one in runs.items():
            rarest = min(one, key=lambda run: (times[run], run))
            self._by_run.setdefault(rarest, []).append((place, f" {texts[place]} "))

    def found_in(self, words: list[str]) -> list[int]:
        """Places of the texts that stand within the words, and are not all of them."""
        if len(words) <= self._shortest or not self._by_run:
            return []
        runs = _runs(words) & self._by_run.keys()
        if not runs:
            return []
        whole = f" {' '.join(words)} "
        return sorted(
            place for run in runs for place, text in self._by_run[run] if len(text) < len(whole) and text in whole
        )


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    """All runs of a few neighbouring words."""
    return set(zip(*(words[at:] for at in range(_RUN)), strict=False))


def _excerpt(content: Content, length: int = 80) -> str:
    flat = " ".join(content.text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
