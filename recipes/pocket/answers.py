"""The forms an answer can take (a value, a sentence, a list, JSON) and the instructions that ask for them."""

import json
from dataclasses import dataclass
from random import Random

VALUE_ORDERS = (
    "Answer with the value only.", "Answer briefly.", "Be brief.", "Give a short answer.", "Answer in a few words.",
    "Answer with the shortest answer.", "Only give the value.", "Answer in at most five words.",
)  # fmt: skip
SENTENCE_ORDERS = (
    "Answer in a sentence.", "Answer in a full sentence.", "Use a full sentence.", "Answer in one sentence.",
    "Write a whole sentence.",
)  # fmt: skip
LIST_ORDERS = ("Answer as a list.", "Write the answer as a list.", "Give a list with one item.")
JSON_ORDERS = (
    'Answer as JSON {"answer": "..."}.', "Answer as JSON.", "Answer in JSON with the key answer.",
    'Write JSON like {"answer": "..."}.',
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How to answer, and the instruction that says so: system prompt (`order`) or after the question (`suffix`)."""

    form: str
    order: str
    suffix: str


def style(rng: Random) -> Style:
    """A form of answer with its instruction; without any instruction the answer is the bare value."""
    form = rng.choices(("plain", "value", "sentence", "list", "json"), (54, 18, 14, 5, 9))[0]
    if form == "plain":
        return Style("value", "", "")
    order = rng.choice(ORDERS[form])
    return Style(form, "", f" {order}") if rng.random() < 0.5 else Style(form, order, "")


def dress(style: Style, value: str, sentence: str) -> str:
    """The answer in the form that the style asks for."""
    if style.form == "sentence":
        return sentence
    if style.form == "list":
        return f"- {value}"
    if style.form == "json":
        return json.dumps({"answer": value})
    return value


ORDERS = {
    "value": VALUE_ORDERS,
    "sentence": SENTENCE_ORDERS,
    "list": LIST_ORDERS,
    "json": JSON_ORDERS,
}
