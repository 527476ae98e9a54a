"""Examples to token ids with a loss mask, under the real chat template.

Where the template marks its answers with {% generation %}, those marks decide. Elsewhere the answer of a turn is what
the rendered text gains over the prompt that ends just before it, which needs a template whose rendering of the first
turns does not depend on later ones; where it does, only the last turn can be learned, and that is said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from engine.data.shapes import Conversation, Example, Message, Passage
from engine.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LossOn = Literal["assistant", "last_turn", "completion", "all"]
_GENERATION_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
Span = tuple[int, int]


@dataclass(frozen=True)
class Encoded:
    """One example as the trainer takes it. `labels` is the token id where it is learned, -100 elsewhere."""

    input_ids: list[int]
    labels: list[int]
    full_length: int
    source: str
    line: int

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
        labels = list(ids)
    else:
        ids, labels = _encode_conversation(example, tokenizer, loss_on, template_args or {})
    return Encoded(ids[:max_length], labels[:max_length], len(ids), example.source, example.line)


def encode_prompt(
    messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> list[int]:
    """Token ids of the turns with the cue for an answer: exactly what training saw before the answer."""
    text = render(messages, tokenizer, template_args or {}, cue=True)
    return [*tokenizer(text, add_special_tokens=False)["input_ids"]]


def render(
    messages: Sequence[Message],
    tokenizer: "PreTrainedTokenizerBase",
    template_args: dict[str, Any],
    cue: bool = False,
    tools: list[Any] | None = None,
) -> str:
    """The turns as the template writes them; `cue` adds the start of an answer."""
    require_template(tokenizer)
    from jinja2.exceptions import TemplateError

    try:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=cue, tools=tools, **template_args
        )
    except TemplateError as error:
        raise EngineError(
            "The chat template refuses these turns", f"{error} (roles: {', '.join(m['role'] for m in messages)})",
            "change the rows, or name another template in model.chat_template",
        ) from error  # fmt: skip
    return str(text)


def require_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise EngineError when the tokenizer has no chat template."""
    if not tokenizer.chat_template:
        raise EngineError(
            "The tokenizer has no chat template, so chats can't be written for it",
            f"model: {tokenizer.name_or_path}",
            "set model.chat_template: plain (headings and the tokenizer's own stop token), or name a template file",
        )


def stop_ids(tokenizer: "PreTrainedTokenizerBase", model_stop_ids: Sequence[int] = ()) -> set[int]:
    """Ids that end an answer: the tokenizer's end token and the model's own list."""
    own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return {*own, *model_stop_ids}


def _encode_conversation(
    example: Conversation, tokenizer: "PreTrainedTokenizerBase", loss_on: LossOn, template_args: dict[str, Any]
) -> tuple[list[int], list[int]]:
    require_template(tokenizer)
    text = render(example.messages, tokenizer, template_args, tools=example.tools)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoding["input_ids"])
    if loss_on == "all":
        return ids, list(ids)
    spans = _answer_spans(example, tokenizer, text, template_args, last_only=loss_on != "assistant")
    learned = [_inside(offset, spans) for offset in encoding["offset_mapping"]]
    return ids, [token if keep else -100 for token, keep in zip(ids, learned, strict=True)]


def _inside(offset: Span, spans: Sequence[Span]) -> bool:
    start, end = offset
    return any(low <= start and start < high and end > start for low, high in spans)


def _answer_spans(
    example: Conversation,
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    template_args: dict[str, Any],
    last_only: bool,
) -> list[Span]:
    """Character ranges of the answers in the rendered text, their stop tokens included."""
    if _has_generation_marks(str(tokenizer.chat_template)):
        spans = _marked_spans(example, tokenizer, template_args)
        if not last_only:
            return spans
        # One answer may lie in several marks, its end token in one of its own.
        before = render(example.prompt, tokenizer, template_args, cue=True, tools=example.tools)
        start = len(_shared_start(before, text))
        return [(low, high) for low, high in spans if high > start]
    answers = [number for number, message in enumerate(example.messages) if message["role"] == "assistant"]
    wanted = answers[-1:] if last_only else answers
    return [_span_by_difference(example, tokenizer, text, template_args, number) for number in wanted]


@cache
def _has_generation_marks(template: str) -> bool:
    return _GENERATION_MARK.search(template) is not None


def _marked_spans(
    example: Conversation, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any]
) -> list[Span]:
    from transformers.utils.chat_template_utils import render_jinja_template

    _, spans = render_jinja_template(
        conversations=[example.messages],
        tools=example.tools,
        chat_template=str(tokenizer.chat_template),
        return_assistant_tokens_mask=True,
        **{**tokenizer.special_tokens_map, **template_args},
    )
    return [(int(start), int(end)) for start, end in spans[0]]


def _span_by_difference(
    example: Conversation,
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    template_args: dict[str, Any],
    number: int,
) -> Span:
    before = render(example.messages[:number], tokenizer, template_args, cue=True, tools=example.tools)
    through = render(example.messages[: number + 1], tokenizer, template_args, tools=example.tools)
    if not text.startswith(before) or not (text.startswith(through) or number == len(example.messages) - 1):
        # A cue that opens a thinking block, say, is not part of the finished turn: fall back to what both share.
        before = _shared_start(before, text)
        if not text.startswith(through):
            raise EngineError(
                "The chat template writes earlier answers differently once later turns follow",
                f"{example.source} line {example.line}, turn {number + 1}",
                "set data.loss_on: last_turn, or use a template with {% generation %} marks",
            )
    end = len(through) if text.startswith(through) else len(text)
    stop = _stop_end(text, len(before), end, tokenizer)
    return len(before), stop


def _shared_start(first: str, second: str) -> str:
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return first[:length]


def _stop_end(text: str, start: int, end: int, tokenizer: "PreTrainedTokenizerBase") -> int:
    """End of the turn's stop token: what follows it (a newline, mostly) is never generated, so it is not learned."""
    specials = sorted({token for token in tokenizer.all_special_tokens if token in text[start:end]})
    last = max((text.rfind(token, start, end) + len(token) for token in specials), default=end)
    return last if not text[last:end].strip() else end
