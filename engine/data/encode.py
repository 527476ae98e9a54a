"""Examples to token ids with a loss mask, under the real chat template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.data.answer_spans import answer_spans, left_out, written
from rung.engine.data.shapes import Conversation, Example, Message, Passage
from rung.engine.data.template import Span, render, require_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LossOn = Literal["assistant", "last_turn", "completion", "all"]


@dataclass(frozen=True)
class Encoded:
    """One example as the trainer takes it. `labels` is the token id where it is learned, -100 elsewhere."""

    input_ids: list[int]
    labels: list[int]
    full_length: int
    source: str
    line: int
    left_out: str = ""
    """What of the row the template doesn't write, in words."""

    @property
    def trained_tokens(self) -> int:
        """How many tokens are learned."""
        return sum(label != -100 for label in self.labels)

    @property
    def tokens(self) -> int:
        """How many tokens the model reads."""
        return len(self.input_ids)

    @property
    def cut(self) -> int:
        """Tokens that `max_length` cut off the end."""
        return self.full_length - len(self.input_ids)

    @property
    def learned(self) -> list[int]:
        """The learned tokens."""
        return [label for label in self.labels if label != -100]

    @property
    def answer_cut(self) -> bool:
        """Whether `max_length` cut an answer, so that its end is not learned."""
        return self.cut > 0 and self.labels[-1] != -100


def encode(
    example: Example,
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    loss_on: LossOn,
    template_args: dict[str, Any] | None = None,
) -> Encoded:
    """The example's ids and labels, cut at `max_length` tokens."""
    if isinstance(example, Passage):
        ids = [*tokenizer(example.text)["input_ids"]]
        if tokenizer.eos_token_id is not None and ids[-1:] != [tokenizer.eos_token_id]:
            ids.append(tokenizer.eos_token_id)
        labels, missing = list(ids), ""
    else:
        ids, labels, missing = _encode_conversation(example, tokenizer, loss_on, template_args or {})
    return Encoded(ids[:max_length], labels[:max_length], len(ids), example.source, example.line, missing)


def encode_prompt(
    messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> list[int]:
    """Token ids of the turns with the cue for an answer: exactly what training saw before the answer."""
    text = render(messages, tokenizer, template_args or {}, cue=True)
    return [*tokenizer(text, add_special_tokens=False)["input_ids"]]


def stop_ids(tokenizer: "PreTrainedTokenizerBase", model_stop_ids: Sequence[int] = ()) -> set[int]:
    """Ids that end an answer: the tokenizer's end token and the model's own list."""
    own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return {*own, *model_stop_ids}


def _encode_conversation(
    example: Conversation, tokenizer: "PreTrainedTokenizerBase", loss_on: LossOn, template_args: dict[str, Any]
) -> tuple[list[int], list[int], str]:
    """Ids, labels, and what of the row the template leaves out."""
    require_template(tokenizer)
    if not tokenizer.is_fast:
        raise EngineError(
            "The tokenizer doesn't say which token stands where, so answers can't be told from questions",
            f"model: {tokenizer.name_or_path}, {type(tokenizer).__name__}",
            "use a model whose folder has a tokenizer.json",
        )
    last_only = loss_on in ("last_turn", "completion")
    chat = written(example, tokenizer, template_args)
    encoding = tokenizer(chat.text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoding["input_ids"])
    if loss_on == "all":
        return ids, list(ids), left_out(chat, last_only)
    spans = answer_spans(chat, last_only)
    learned = [_inside(offset, spans) for offset in encoding["offset_mapping"]]
    labels = [token if keep else -100 for token, keep in zip(ids, learned, strict=True)]
    return ids, labels, left_out(chat, last_only)


def _inside(offset: Span, spans: Sequence[Span]) -> bool:
    start, end = offset
    return any(low <= start and start < high and end > start for low, high in spans)
