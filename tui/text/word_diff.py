"""Where two answers differ, word by word."""

import re
from difflib import SequenceMatcher

from textual.content import Content

Span = tuple[int, int]
MAX_WORDS = 2000
_WORDS = re.compile(r"\w+|[^\w\s]")


def differing_spans(text: str, other: str) -> list[Span]:
    """Character ranges of `text` that hold words which `other` doesn't have at that place; neighbours joined.

    Words beyond the first 2,000 are not looked at, so that the screen never waits.
    """
    words, others = _words(text), _words(other)
    matcher = SequenceMatcher(None, [text[a:b] for a, b in words], [other[a:b] for a, b in others], autojunk=False)
    spans = []
    for kind, start, end, _, _ in matcher.get_opcodes():
        if kind != "equal" and end > start:
            spans.append((words[start][0], words[end - 1][1]))
    return spans


def marked(text: str, spans: list[Span], brackets: bool) -> Content:
    """`text` with the spans underlined; in brackets too where the terminal shows nothing else."""
    parts: list[str | tuple[str, str]] = []
    at = 0
    for start, end in spans:
        inside = text[start:end]
        parts += [text[at:start], (f"[{inside}]" if brackets else inside, "underline $text-accent")]
        at = end
    return Content.assemble(*parts, text[at:])


def _words(text: str) -> list[Span]:
    return [match.span() for match, _ in zip(_WORDS.finditer(text), range(MAX_WORDS), strict=False)]
