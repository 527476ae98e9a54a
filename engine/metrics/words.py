"""Metrics on the words of an answer: the same, contained, matched by a pattern, overlapping."""

import re
import string
import unicodedata
from collections import Counter


def exact_match(answer: str, reference: str, casefold: bool = False) -> float:
    """1 if the texts are equal, runs of white space counting as one space."""
    return float(_plain(answer, casefold) == _plain(reference, casefold))


def normalized_match(answer: str, reference: str) -> float:
    """1 if the texts are equal but for capitals, articles, punctuation and the form of Unicode, as SQuAD compares them.

    Rajpurkar et al. 2016; Unicode by NFKC. Where nothing is left of either text, they are compared as they are.
    """
    given, wanted = _bare_words(answer), _bare_words(reference)
    if not given or not wanted:
        return exact_match(answer, reference)
    return float(given == wanted)


def _bare_words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    # A point or comma inside a number, and a minus before it, are not punctuation: 10.5 is not 105, nor is -5 5.
    kept = {match.start() for match in re.finditer(r"(?<=\d)[.,](?=\d)|(?<!\w)-(?=[.\d])", plain)}
    bare = "".join(
        letter
        for place, letter in enumerate(plain)
        if place in kept or not unicodedata.category(letter).startswith("P")
    )
    return [word for word in bare.split() if word not in _ARTICLES]


def contains(answer: str, reference: str, casefold: bool = False) -> float:
    """1 if the reference stands in the answer as words or numbers of its own: 1 is not in 2010, nor in 1.5.

    Runs of white space count as one space. Scripts that are written without spaces have no such edges.
    """
    text, wanted = _plain(answer, casefold), _plain(reference, casefold)
    if not wanted:
        return 1.0
    before = _EDGE_BEFORE[_edge(wanted[0])]
    behind = _EDGE_BEHIND[_edge(wanted[-1])]
    return float(re.search(f"{before}{re.escape(wanted)}{behind}", text) is not None)


def _edge(letter: str) -> str:
    """Which letters may not touch this one: those of a number, those of a word, or none."""
    if letter.isdigit():
        return "digit"
    return "letter" if letter.isalpha() and not _WITHOUT_SPACES.match(letter) else "none"


# Thai, Lao, Burmese, Khmer, kana and Chinese characters.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WITHOUT_SPACES = re.compile(f"[{_SPACELESS}]")
_WORD = rf"(?:(?![{_SPACELESS}])\w)"
_EDGE_BEFORE = {"digit": rf"(?<!\d[.,])(?<!{_WORD})", "letter": rf"(?<!{_WORD})", "none": ""}
_EDGE_BEHIND = {"digit": rf"(?![.,]?\d)(?!{_WORD})", "letter": rf"(?!{_WORD})", "none": ""}
_ARTICLES = ("a", "an", "the")


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
