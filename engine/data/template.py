"""Chats as the chat template writes them, and the places where it marks its answers."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from rung.engine.core.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Written = TypeVar("Written")
Span = tuple[int, int]
Turns = list[dict[str, Any]]
_GENERATION_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


class TurnsRefused(EngineError):
    """The chat template can't write the turns of one row; those of another it may well write."""

    @property
    def reason(self) -> str:
        """What is wrong with the row, in one line."""
        return f"{self.message[0].lower()}{self.message[1:]}: {self.details}"


def render(
    messages: Sequence[dict[str, Any]],
    tokenizer: "PreTrainedTokenizerBase",
    template_args: dict[str, Any],
    cue: bool = False,
    tools: list[Any] | None = None,
) -> str:
    """The turns as the template writes them; `cue` adds the start of an answer.

    Raises EngineError without a template, and TurnsRefused where the template doesn't take these turns.
    """
    require_template(tokenizer)

    def write(turns: Turns) -> tuple[str, str]:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=cue, tools=tools or None, **template_args
        )
        return str(text), str(text)

    return _in_the_form_that_the_template_takes(messages, write)


def require_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise EngineError when the tokenizer has no chat template."""
    if not tokenizer.chat_template:
        raise EngineError(
            "The tokenizer has no chat template, so chats can't be written for it",
            f"model: {tokenizer.name_or_path}",
            "set model.chat_template: plain (headings and the tokenizer's own stop token), or name a template file",
        )


@cache
def has_generation_marks(template: str) -> bool:
    """Whether the template says itself what of a chat is generated."""
    return _GENERATION_MARK.search(template) is not None


def marked_spans(
    messages: Sequence[dict[str, Any]],
    tokenizer: "PreTrainedTokenizerBase",
    template_args: dict[str, Any],
    tools: list[Any] | None,
) -> list[Span]:
    """Character ranges between the template's {% generation %} marks."""
    from transformers.utils.chat_template_utils import render_jinja_template

    def write(turns: Turns) -> tuple[str, list[Span]]:
        texts, spans = render_jinja_template(
            conversations=[turns],
            tools=tools or None,
            chat_template=str(tokenizer.chat_template),
            return_assistant_tokens_mask=True,
            **{**tokenizer.special_tokens_map, **template_args},
        )
        return str(texts[0]), [(int(start), int(end)) for start, end in spans[0]]

    return _in_the_form_that_the_template_takes(messages, write)


def _in_the_form_that_the_template_takes(
    messages: Sequence[dict[str, Any]], write: Callable[[Turns], tuple[str, Written]]
) -> Written:
    """What `write` gives beside the text for the first form of the turns that the template writes.

    Arguments of tool calls: most templates go through an object, or write it as JSON, and would quote a text a second
    time; some only join texts. Content: templates of models that see want a list of parts, and fail at a plain string
    or write nothing of it.
    """
    from jinja2.exceptions import TemplateError

    # What a template does with values it was not written for: Python's own errors come through Jinja.
    faults = (TemplateError, TypeError, ValueError, AttributeError, LookupError)
    said = [content.strip() for message in messages if isinstance(content := message.get("content"), str)]
    wrong: Exception | None = None
    for turns in _forms(messages):
        try:
            text, found = write(turns)
        except faults as error:
            wrong = wrong or error
            continue
        if not any(said) or any(content in text for content in said if content):
            return found
    roles = ", ".join(message["role"] for message in messages)
    raise TurnsRefused(
        "The chat template refuses these turns", f"{wrong or 'it writes none of them'} (roles: {roles})",
        "change the rows, or name another template in model.chat_template",
    ) from wrong  # fmt: skip


def _forms(messages: Sequence[dict[str, Any]]) -> Iterator[Turns]:
    plain = [_with_arguments(message, _as_object) for message in messages]
    yield plain
    if any(message.get("tool_calls") for message in messages):
        yield [_with_arguments(message, _as_json) for message in messages]
    yield [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message.get("content"), str)
        else message
        for message in plain
    ]


def _with_arguments(message: dict[str, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [_call_with(call, form) for call in message["tool_calls"]]}


def _call_with(call: Any, form: Callable[[Any], Any]) -> Any:
    if not isinstance(call, dict):
        return call
    if isinstance(call.get("function"), dict):
        return {**call, "function": _call_with(call["function"], form)}
    return {**call, "arguments": form(call["arguments"])} if "arguments" in call else call


def _as_object(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _as_json(arguments: Any) -> Any:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
