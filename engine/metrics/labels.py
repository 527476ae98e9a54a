"""Classification: which label an answer names."""

import re
from collections.abc import Sequence


def named_label(answer: str, labels: Sequence[str] | None = None) -> str:
    """The label an answer names, in its plain form (`plain_label`).

    Where the labels are given, an answer that is none of them still names one if exactly one stands in it as words of
    its own and is not denied ("not positive", "isn't really positive": a denying word among the five before it in the
    same clause). An answer that names none, or several, is kept as it is, and so is wrong.
    """
    plain = plain_label(answer)
    known = [plain_label(label) for label in labels or []]
    if plain in known:
        return plain
    text = plain.replace("\u2019", "'")
    places = {label: list(re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", text)) for label in dict.fromkeys(known)}
    # Of "positive" and "very positive", the longer one was meant where it stands.
    taken = [(match.start(), match.end()) for matches in places.values() for match in matches]
    named = {
        label
        for label, matches in places.items()
        for match in matches
        if not any(start <= match.start() and match.end() <= end and end - start > len(label) for start, end in taken)
        and not _DENIED.search(text[: match.start()])
    }
    return named.pop() if len(named) == 1 else plain


_DENYING = r"(?:\b(?:not|no|never|neither|nor|without|hardly|cannot)|n't)"
_DENIED = re.compile(rf"{_DENYING}(?:\s+[^\s.,;:!?]+){{0,4}}\s+$|\bnon-$")


def plain_label(text: str) -> str:
    """Small letters, single spaces, no punctuation around it."""
    return " ".join(text.split()).casefold().strip(" .,;:!?\"'`*()[]")
