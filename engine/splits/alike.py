"""Which rows say nearly the same: one measure for making splits, for checking data and for refusing leaks.

Rows are compared by what differs: the person's question and the answers, the rejected one too, without the system
prompt and without what several rows begin or end with.
"""

from collections.abc import Iterator, Sequence

from rung.engine.data.content import Content
from rung.engine.data.row_text import plain_words
from rung.engine.splits.near_duplicates import ShingleSets, candidate_pairs
from rung.engine.splits.own_words import common_start, own_words
from rung.engine.splits.patterns import Patterns

MEASURE = 2
"""Counted up when the measure changes: what an earlier one found is looked for anew."""
SIMILARITY = 0.55
# Two rows that share a long opening and go on differently ask different things; shorter ends may be slips of the pen.
_LONG_CONTEXT, _ANOTHER_QUESTION = 12, 4
# Of two questions on different tables or passages so much is taken to differ: `How many are there?` is no copy, a
# whole task under another instruction is.
_ANOTHER_CONTEXT = 10
# Of so many words a question with one of them changed is a copy, where the answer is the same.
_LEAST_COPIED = 6


def near_pairs(contents: Sequence[Content], border: int | None = None) -> list[tuple[int, int, float]]:
    """Pairs of rows that say nearly the same (indices, the smaller first) with their similarity, 0 to 1.

    With a `border`, only pairs of a row before it and one from it on.
    """
    measure = _Alike(contents)
    pairs = (pair for pair in measure.candidates() if border is None or pair[0] < border <= pair[1])
    return sorted((a, b, similarity) for a, b in pairs if (similarity := measure.similarity(a, b)) is not None)


class _Alike:
    """The questions and answers of many rows as words, and how similar they are."""

    def __init__(self, contents: Sequence[Content]) -> None:
        # The same word is the same object everywhere: then comparing words is comparing addresses.
        words: dict[str, str] = {}
        self._asked, self._answered = (
            [[words.setdefault(word, word) for word in plain_words(text)] for text in texts]
            for texts in ([content.asked for content in contents], [content.answered for content in contents])
        )
        parts = list(zip(own_words(self._asked), own_words(self._answered), strict=True))
        self._own_questions = [asked.own for asked, _ in parts]
        self._contexts = [asked.shared for asked, _ in parts]
        self._sets = ShingleSets(
            [[*asked.own, *answered.own] for asked, answered in parts],
            [[*asked.shared, *answered.shared] for asked, answered in parts],
        )
        self._patterns = Patterns([content.asked for content in contents], self._asked)

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Pairs that may well be alike (the smaller index first); each comes once."""
        seen: set[tuple[int, int]] = set()
        for pairs in (self._sets.candidates(), self._one_word_apart()):
            for pair in pairs:
                if pair not in seen:
                    seen.add(pair)
                    yield pair

    def similarity(self, a: int, b: int) -> float | None:
        """The similarity of two rows that say nearly the same; None where they do not."""
        similarity = self._sets.similarity(a, b, _ANOTHER_CONTEXT if self._in_other_contexts(a, b) else 0)
        if similarity < SIMILARITY:
            if not self._is_slip(a, b):
                return None
            similarity = SIMILARITY
        # Whole sentences that answer both show that a name was changed in a copy; `five` answers many questions.
        answer = self._answered[a]
        is_same_answer = len(answer) >= _LEAST_COPIED and answer == self._answered[b]
        if self._ask_apart(a, b) or self._patterns.differ_in_one(a, b, names_tell=not is_same_answer):
            return None
        return similarity

    def _in_other_contexts(self, a: int, b: int) -> bool:
        """Whether both questions stand behind long openings, each its own: what is asked in few words may be alike."""
        one, other = ({*self._contexts[row]} for row in (a, b))
        # Of a copy with a word changed in the midst of its opening only the first part is known to be shared.
        return bool(one and other) and len(one & other) < SIMILARITY * min(len(one), len(other))

    def _is_slip(self, a: int, b: int) -> bool:
        """Whether one word differs between two questions with the same answer, and the rest are enough to tell."""
        one, other = self._asked[a], self._asked[b]
        if self._answered[a] != self._answered[b] or max(len(one), len(other)) < _LEAST_COPIED:
            return False
        before = common_start(one, other)
        after = common_start(one[before:][::-1], other[before:][::-1])
        return max(len(one), len(other)) - before - after <= 1

    def _one_word_apart(self) -> Iterator[tuple[int, int]]:
        """Pairs of rows with the same answer whose questions may be the same but for one word."""
        buckets: dict[int, list[int]] = {}
        for place, words in enumerate(self._asked):
            if len(words) >= _LEAST_COPIED:
                answer = tuple(self._answered[place])
                for key in {hash((part, answer)) for part in self._left_by_a_slip(place)}:
                    buckets.setdefault(key, []).append(place)
        for bucket in buckets.values():
            yield from candidate_pairs(bucket)

    def _left_by_a_slip(self, place: int) -> Iterator[tuple[str | int | None, ...]]:
        """What a question has in common with itself with one word changed: a half; of few own words all others."""
        words, own = self._asked[place], self._own_questions[place]
        middle = len(words) // 2
        yield from ((len(words), *words[:middle], None), (len(words), None, *words[middle:]))
        if len(own) <= 2 * _LEAST_COPIED:
            yield from ((*own[:at], None, *own[at + 1 :]) for at in range(len(own)))

    def _ask_apart(self, a: int, b: int) -> bool:
        """Whether two questions go on differently after a long beginning (or before a long end) that they share."""
        one, other = self._asked[a], self._asked[b]
        before = common_start(one, other)
        after = common_start(one[before:][::-1], other[before:][::-1])
        rests = [words[before : len(words) - after] for words in (one, other)]
        if before + after < _LONG_CONTEXT or min(map(len, rests)) < _ANOTHER_QUESTION:
            return False
        return max(_jaccard(*rests), _jaccard(self._answered[a], self._answered[b])) < SIMILARITY


def _jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    a, b = ({*words, *zip(words, words[1:], strict=False)} for words in (one, other))
    return len(a & b) / len(a | b) if a or b else 0.0
