"""Where the answers stand in a chat that the template has written.

Where the template marks its answers with {% generation %}, those marks decide. Elsewhere an answer is what the text
gains over the prompt that ends just before it. Some templates write an earlier answer differently once later turns
follow (without its reasoning, or with another end): that one is found by writing the chat once more with another answer
in its place, and of its end only what it would have had as the last answer is learned.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rung.engine.data.shapes import Conversation, Message
from rung.engine.data.template import Span, TurnsRefused, has_generation_marks, marked_spans, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_REASONING = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_TAG = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
_OTHER = "\ue000"
"""An answer that no row has: a character for private use."""


@dataclass(frozen=True)
class Written:
    """A chat with its text under a template."""

    example: Conversation
    tokenizer: "PreTrainedTokenizerBase"
    template_args: dict[str, Any]
    text: str

    def write(self, messages: Sequence[Message], cue: bool = False) -> str:
        """Other turns, with the same tools and arguments."""
        return render(messages, self.tokenizer, self.template_args, cue=cue, tools=self.example.tools)


def written(example: Conversation, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any]) -> Written:
    """The chat under the tokenizer's template. Raises TurnsRefused where it can't be written whole."""
    text = render(example.messages, tokenizer, template_args, tools=example.tools)
    chat = Written(example, tokenizer, template_args, text)
    for number, message in enumerate(example.messages):
        if message.get("tool_calls") and _leaves_out_the_calls(chat, number):
            raise TurnsRefused(
                "The chat template leaves out tool calls", f"those of turn {number + 1}",
                "use a template that writes them: the model would learn to answer with nothing",
            )  # fmt: skip
    return chat


def answer_spans(chat: Written, last_only: bool) -> list[Span]:
    """Character ranges of the answers in the chat's text, their stop tokens included."""
    messages = chat.example.messages
    answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    wanted = [number for number in (answers[-1:] if last_only else answers) if _is_learned(messages[number])]
    if not has_generation_marks(str(chat.tokenizer.chat_template)):
        return [_span_of(chat, number) for number in wanted]
    spans = marked_spans(messages, chat.tokenizer, chat.template_args, chat.example.tools)
    if wanted == answers:
        return spans
    # One answer may lie in several marks, its end token in one of its own.
    starts = [_span_of(chat, number)[0] for number in answers]
    ends = [*starts[1:], len(chat.text)]
    ranges = [(start, end) for number, start, end in zip(answers, starts, ends, strict=True) if number in wanted]
    return [(low, high) for low, high in spans if any(high > start and low < end for start, end in ranges)]


def _is_learned(message: Message) -> bool:
    """Whether the row itself wants the turn learned: OpenAI's `weight: 0` and `train: false` say no."""
    return message.get("weight") != 0 and message.get("train") is not False


def left_out(chat: Written, last_only: bool) -> str:
    """What of the row the template doesn't write, in words: tools, reasoning of the answers that are learned."""
    found = []
    if chat.example.tools:
        without = render(chat.example.messages, chat.tokenizer, chat.template_args)
        if without == chat.text:
            found.append("tools")
    answers = [message for message in chat.example.messages if message["role"] == "assistant"]
    thoughts = [_reasoning_of(message) for message in (answers[-1:] if last_only else answers)]
    if any(thought and thought not in chat.text for thought in thoughts):
        found.append("reasoning")
    return " and ".join(found)


def _leaves_out_the_calls(chat: Written, number: int) -> bool:
    message = {name: value for name, value in chat.example.messages[number].items() if name != "tool_calls"}
    messages = chat.example.messages
    try:
        return chat.write([*messages[:number], message, *messages[number + 1 :]]) == chat.text
    except TurnsRefused:
        return False  # The template looks for the call that the next turn answers.


def _reasoning_of(message: Message) -> str:
    field = next((str(message[name]) for name in REASONING_FIELDS if message.get(name)), "")
    inline = _REASONING.search(str(message.get("content") or ""))
    return (field or (inline[1] if inline else "")).strip()


def _span_of(chat: Written, number: int) -> Span:
    messages = chat.example.messages
    before = chat.write(messages[:number], cue=True) if number else ""
    through = chat.write(messages[: number + 1])
    if chat.text.startswith(through):
        low, high = _start(before, chat.text), len(through)
    else:
        low, high = _span_by_another_answer(chat, number, through, _start(before, through))
    return low, _stop_end(chat.text, low, high, chat.tokenizer)


def _span_by_another_answer(chat: Written, number: int, through: str, start: int) -> Span:
    """The answer's range in the text, where the text up to it (`through`, the answer from `start`) reads otherwise."""
    messages = chat.example.messages
    other = [*messages[:number], _another(messages[number]), *messages[number + 1 :]]
    own = _difference(chat.text, chat.write(other))
    alone = _difference(through, chat.write(other[: number + 1]))
    opening = through[len(_shared_start(chat.write(messages[:number]), through)) if number else 0 : start]
    rest = chat.text[own[1] :]
    return (
        _after_the_opening(chat.text[: own[0]], opening),
        own[1] + _outside_a_tag(rest, len(_shared_start(rest, through[alone[1] :]))),
    )


def _after_the_opening(text: str, opening: str) -> int:
    """Where in `text` the last opening of a turn ends, or as much of it as stands there; else the end of the text."""
    tag = _TAG.match(opening)
    first = tag[0] if tag else opening
    at = text.rfind(first) if first else -1
    return len(text) if at < 0 else at + _start(opening, text[at:])


def _another(message: Message) -> Message:
    """The turn with another answer of the same form."""
    other = dict(message)
    for name in ("content", *REASONING_FIELDS):
        if message.get(name):
            other[name] = _OTHER if isinstance(message[name], str) else [{"type": "text", "text": _OTHER}]
    if message.get("tool_calls"):
        function = {"name": _OTHER, "arguments": {_OTHER: _OTHER}}
        other["tool_calls"] = [
            {**call, "function": function} if "function" in call else {**call, **function}
            for call in message["tool_calls"]
        ]
    return other


def _start(before: str, text: str) -> int:
    """Where an answer begins: after what its prompt and the text share. A tag that the cue opens is not cut in two."""
    return _outside_a_tag(before, len(_shared_start(before, text)))


def _outside_a_tag(text: str, at: int) -> int:
    return next((tag.start() for tag in _TAG.finditer(text) if tag.start() < at < tag.end()), at)


def _shared_start(first: str, second: str) -> str:
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return first[:length]


def _difference(text: str, other: str) -> Span:
    """The range of `text` outside what the two begin and end with."""
    low = len(_shared_start(text, other))
    most = min(len(text), len(other)) - low
    same_end = len(_shared_start(text[::-1][:most], other[::-1][:most]))
    return low, len(text) - same_end


def _stop_end(text: str, start: int, end: int, tokenizer: "PreTrainedTokenizerBase") -> int:
    """End of the turn's stop token: what follows it (a newline, mostly) is never generated, so it is not learned."""
    specials = [token for token in _special_tokens(tokenizer) if token in text[start:end]]
    last = max((text.rfind(token, start, end) + len(token) for token in specials), default=end)
    return last if not text[last:end].strip() else end


def _special_tokens(tokenizer: "PreTrainedTokenizerBase") -> set[str]:
    """Tokens that no text is split into; an end of turn need not be among the named ones."""
    added = tokenizer.added_tokens_decoder.values()
    return {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
