"""Metrics on the words of an answer: the same, contained, matched by a pattern, overlapping."""

import re
import string
from collections import Counter


def exact_match(answer: str, reference: str, casefold: bool = False) -> float:
    """1 if the texts are equal, runs of white space counting as one space."""
    return float(_plain(answer, casefold) == _plain(reference, casefold))


def contains(answer: str, reference: str, casefold: bool = False) -> float:
    """1 if the reference stands in the answer, runs of white space counting as one space."""
    return float(_plain(reference, casefold) in _plain(answer, casefold))


def regex(answer: str, reference: str, pattern: str, casefold: bool = False) -> float:
    """1 if the pattern is found; with a group named `answer`, if what its last match captured is the reference."""
    compiled = re.compile(pattern, re.IGNORECASE if casefold else 0)
    matches = list(compiled.finditer(answer))
    if not matches or "answer" not in compiled.groupindex:
        return float(bool(matches))
    return exact_match(matches[-1].group("answer") or "", reference, casefold)


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of words, counted as the SQuAD evaluation does (Rajpurkar et al. 2016)."""
    predicted, expected = squad_words(answer), squad_words(reference)
    if not predicted or not expected:
        return float(predicted == expected)
    common = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * common / (len(predicted) + len(expected))


def squad_words(text: str) -> list[str]:
    """Lower-case words without punctuation and without a, an, the."""
    bare = "".join(letter for letter in text.lower() if letter not in _PUNCTUATION)
    return [word for word in bare.split() if word not in ("a", "an", "the")]


_PUNCTUATION = frozenset(string.punctuation)


def _plain(text: str, casefold: bool) -> str:
    joined = " ".join(text.split())
    return joined.casefold() if casefold else joined
