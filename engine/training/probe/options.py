"""A question's options as answers of the chat: their token ids, and which of them are the option's own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rung.engine.data.template import render
from rung.engine.training.probe.questions import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLACE = "\ue000"
"""Stands where the option will: a character for private use, which no template or question has."""


@dataclass(frozen=True)
class OptionRow:
    """`ids[start:]` are the option's text; before them stands the question. `num_bytes` is the text's in UTF-8."""

    ids: list[int]
    start: int
    num_bytes: int


def option_rows(
    question: Question, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> list[OptionRow] | None:
    """A row for each option, as training would write it for an answer (a template may put a space before it).

    What the template adds around the option (an empty chain of thought, a stop token) is not scored: it says nothing of
    what the model knows. None where the template does not write answers, or the tokenizer does not say which token
    stands where.
    """
    messages = [{"role": "user", "content": question.text}, {"role": "assistant", "content": _PLACE}]
    before, *after = render(messages, tokenizer, template_args or {}).split(_PLACE)
    if len(after) != 1 or not tokenizer.is_fast:
        return None
    rows = []
    for option in question.options:
        encoded = tokenizer(before + option + after[0], add_special_tokens=False, return_offsets_mapping=True)
        low, high = len(before), len(before) + len(option)
        own = [number for number, (start, end) in enumerate(encoded["offset_mapping"]) if start < high and end > low]
        rows.append(OptionRow(list(encoded["input_ids"][: own[-1] + 1]), own[0], len(option.encode())))
    return rows


def likeliest(log_likelihoods: list[float], rows: list[OptionRow]) -> int:
    """The option whose text is likeliest a byte: lm-evaluation-harness' normalised accuracy (acc_norm, EleutherAI).

    Divided by bytes, long options are not at a disadvantage, and models of other vocabularies are measured alike.
    """
    per_byte = [nats / row.num_bytes for nats, row in zip(log_likelihoods, rows, strict=True)]
    return max(range(len(rows)), key=per_byte.__getitem__)
