"""Usual names of columns, in small letters with underscores; of several in one row the first counts."""

import difflib
from collections.abc import Mapping

from rung.engine.core.errors import EngineError

ASKED = ("instruction", "definition", "prompt", "question", "query", "problem", "inputs", "input")
ANSWERS = (
    "completion", "output", "response", "solution", "answer", "answers", "reply", "targets", "target", "outputs",
    "ideal", "expected_output", "assistant", "bot",
)  # fmt: skip
SPEAKERS = ("user", "human")
"""Columns of what is asked only beside one named assistant or bot: `user` alone is who asked."""
TURNS = ("messages", "conversation", "dialogue", "dialog", "chat", "turns")
PAIRS = (
    ("chosen", "rejected"), ("chosen_messages", "rejected_messages"), ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"), ("chosen_answer", "rejected_answer"),
    ("answer_chosen", "answer_rejected"), ("response_j", "response_k"), ("preferred", "rejected"),
    ("preferred", "dispreferred"), ("preferred", "non_preferred"), ("accepted", "rejected"), ("winner", "loser"),
    ("better", "worse"),
)  # fmt: skip
"""The preferred answer, then the other one. Of StackExchange's pairs j is the answer with more votes."""
PAIR_PROMPTS = ("prompt", "messages", "conversations", "question", "instruction", "query", "problem", "input", "user")
LABELS = (
    "label", "kto_tag", "kto_label", "desirable", "is_desirable", "desirability", "preferred", "accepted",
    "is_accepted", "is_good", "good", "is_correct", "liked", "thumbs_up",
)  # fmt: skip
SYSTEM = ("system", "system_prompt", "system_message")
REFERENCES = ("reference", "answer", "solution", "target", "ground_truth")
GOOD = ("true", "1", "1.0", "yes", "good", "desirable", "accepted", "thumbs_up")
BAD = ("false", "0", "0.0", "-1", "-1.0", "no", "bad", "undesirable", "rejected", "thumbs_down")
FIELDS_OF = {
    "alpaca": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
    "question_answer": ("question", "answer"),
}
FIELDS = (
    "messages", "conversations", "instruction", "input", "output", "history", "prompt", "completion", "question",
    "answer", "text", "chosen", "rejected", "label", "system", "tools", *REFERENCES,
)  # fmt: skip
"""Every field that a shape has: what `columns` may name."""


def check_fields(columns: Mapping[str, str]) -> None:
    """Raise EngineError for a field that no shape has, with the nearest one. `columns`: field, column of the file."""
    for field, column in columns.items():
        if field in FIELDS or field in _all_names():
            continue
        near = difflib.get_close_matches(field, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else ""
        if column in FIELDS and not near:
            hint = f"the field comes first, then the column of the file: {column}={field}"
        fields = ", ".join(dict.fromkeys(FIELDS))
        raise EngineError(f"Rows have no field {field!r}", f"fields are: {fields}", hint)


def _all_names() -> set[str]:
    pairs = {name for pair in PAIRS for name in pair}
    return {*ASKED, *ANSWERS, *TURNS, *LABELS, *SYSTEM, *SPEAKERS, *pairs}
