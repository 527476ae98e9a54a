"""Classification: which label an answer names."""

import re
from collections.abc import Sequence


def named_label(answer: str, labels: Sequence[str] | None = None) -> str:
    """The label an answer names, in its plain form (`plain_label`).

    Where the labels are given, an answer that is none of them still names one if exactly one stands in it as words of
    its own; an answer that names none, or several, is kept as it is, and so is wrong.
    """
    plain = plain_label(answer)
    known = [plain_label(label) for label in labels or []]
    if plain in known:
        return plain
    found = [label for label in known if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", plain)]
    # Of "positive" and "very positive", the longer one was meant where it stands.
    longest = [label for label in found if not any(label != other and label in other for other in found)]
    return longest[0] if len(longest) == 1 else plain


def plain_label(text: str) -> str:
    """Small letters, single spaces, no punctuation around it."""
    return " ".join(text.split()).casefold().strip(" .,;:!?\"'`*()[]")
