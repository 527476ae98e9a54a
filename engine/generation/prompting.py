"""Messages to prompt tokens under the chat template, fitted into the model's context, with what was cut said.

Used only inside a worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.core.errors import EngineError

Message = dict[str, Any]


@dataclass(frozen=True)
class FittedPrompt:
    """Prompt tokens, the tokens left for the answer, and what had to be cut (one sentence each).

    `last_message` is what is left of the last message where its beginning was cut, else None.
    """

    ids: list[int]
    max_new_tokens: int
    cuts: list[str]
    last_message: str | None = None


def fit_prompt(
    tokenizer: Any, messages: Sequence[Message], template_args: dict[str, Any], context: int | None, max_new_tokens: int
) -> FittedPrompt:
    """The prompt's tokens, within `context` (None: no limit known) with room for an answer.

    What is too long is cut in this order: the length of the answer (down to a quarter of the context), then the oldest
    turns, then the beginning of the last message.
    """
    ids = render(tokenizer, messages, template_args)
    if context is None or len(ids) + max_new_tokens <= context:
        return FittedPrompt(ids, max_new_tokens, [])
    cuts: list[str] = []
    left: str | None = None
    room = context - min(max_new_tokens, max(1, context // 4))
    if len(ids) > room:
        ids, cuts, left = _shortened(tokenizer, list(messages), template_args, room)
    answer = min(max_new_tokens, context - len(ids))
    if answer < max_new_tokens:
        cuts.append(
            f"the answer is limited to {answer} tokens: the context holds {context}, the prompt takes {len(ids)}"
        )
    return FittedPrompt(ids, answer, cuts, left)


def render(tokenizer: Any, messages: Sequence[Message], template_args: dict[str, Any]) -> list[int]:
    """Token ids of the messages under the chat template, up to where the answer begins."""
    from jinja2.exceptions import TemplateError

    if not tokenizer.chat_template:
        raise EngineError(
            "The tokenizer has no chat template", hint="set model.chat_template in the recipe: plain, chatml, or a file"
        )
    try:
        rendered = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=True, **template_args
        )
    except TemplateError as error:
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise EngineError("The chat template refuses these messages", f"{error} (roles: {roles})") from None
    ids: list[int] = list(rendered["input_ids"])
    return ids


def _shortened(
    tokenizer: Any, messages: list[Message], template_args: dict[str, Any], room: int
) -> tuple[list[int], list[str], str | None]:
    cuts: list[str] = []
    left: str | None = None
    kept = list(messages)
    first_turn = 1 if kept[0].get("role") == "system" else 0
    ids = render(tokenizer, kept, template_args)
    # Whole exchanges go, so that the turns still alternate as templates demand.
    while len(ids) > room and len(kept) - first_turn > 2:
        del kept[first_turn : first_turn + 2]
        ids = render(tokenizer, kept, template_args)
    if len(kept) < len(messages):
        cuts.append(f"the oldest {len(messages) - len(kept)} turns were left out of the prompt")
    if len(ids) > room:
        ids, lost, left = _with_last_message_cut(tokenizer, kept, template_args, room)
        cuts.append(f"the first {lost} tokens of the last message were cut from the prompt")
    return ids, cuts, left


def _with_last_message_cut(
    tokenizer: Any, messages: list[Message], template_args: dict[str, Any], room: int
) -> tuple[list[int], int, str]:
    content = tokenizer(str(messages[-1]["content"]), add_special_tokens=False)["input_ids"]
    frame = len(render(tokenizer, [*messages[:-1], messages[-1] | {"content": ""}], template_args))
    keep = min(len(content), room - frame)
    while keep > 0:
        text = tokenizer.decode(content[-keep:], skip_special_tokens=False)
        ids = render(tokenizer, [*messages[:-1], messages[-1] | {"content": text}], template_args)
        if len(ids) <= room:
            return ids, len(content) - keep, text
        keep -= len(ids) - room
    raise EngineError(
        "The prompt doesn't fit in the model's context",
        f"system message and template alone take {frame} of {room} tokens",
    )
