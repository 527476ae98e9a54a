"""Scores an answer to "tell me about …": courtesy, brevity and truth, each checked by a rule. Needs nothing but Python.

The file stands alone, so that a project can carry it as its metric. It knows neither the pairs nor any reward model.
"""

import re
from collections.abc import Mapping
from typing import Any

COURTEOUS = ("Gladly!", "Of course!", "With pleasure.", "I am happy to help.", "Thank you for asking.", "Certainly!")
MOST_SENTENCES = 2


def score(answer: str, reference: str, row: Mapping[str, Any]) -> float:
    """From 0 to 1: a quarter for a courteous opening, a quarter for one or two sentences, half for true sentences.

    `row["true"]` lists all that may truly be said. Truth is the share of the sentences that are on that list.
    """
    opening = next((words for words in COURTEOUS if answer.startswith(words)), "")
    said = sentences(answer[len(opening) :])
    if not said:
        return 0.25 * bool(opening)
    true = set(row["true"])
    truth = sum(sentence in true for sentence in said) / len(said)
    return 0.25 * bool(opening) + 0.25 * (len(said) <= MOST_SENTENCES) + 0.5 * truth


def sentences(text: str) -> list[str]:
    """The text cut after full stops, question marks and exclamation marks."""
    return [part.strip() for part in re.findall(r"[^.!?]+[.!?]*", text) if part.strip()]
