"""One encoded row as text to look at: which of it is trained, told from the token ids themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rung.engine.data.encode import Encoded
from rung.engine.data.labels import EncodedLabelled
from rung.engine.data.pairs import EncodedPair
from rung.engine.data.prompts import EncodedPrompt, Prompted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Piece = tuple[str, bool]


@dataclass(frozen=True)
class Part:
    """A part of a row, with a title where it has several: pieces of text, each with whether it is trained."""

    title: str
    pieces: list[Piece]


def parts_of(example: Any, item: Any, tokenizer: "PreTrainedTokenizerBase") -> list[Part]:
    """The parts of a row as the trainer takes it: the text of its tokens, with those that are learned marked."""
    if isinstance(item, Encoded):
        learned = [label != -100 for label in item.labels]
        pieces = pieces_of(item.input_ids, learned, tokenizer)
        return [Part("", pieces)] + _note_of_cut(item)
    prompt = Part("prompt", pieces_of(item.prompt_ids, [False] * len(item.prompt_ids), tokenizer))
    if isinstance(item, EncodedPair):
        return [
            prompt,
            _answer("chosen", item.prompt_ids, item.chosen_ids, tokenizer),
            _answer("rejected", item.prompt_ids, item.rejected_ids, tokenizer),
        ]
    if isinstance(item, EncodedLabelled):
        title = "good answer" if item.label else "bad answer"
        return [prompt, _answer(title, item.prompt_ids, item.answer_ids, tokenizer)]
    assert isinstance(item, EncodedPrompt) and isinstance(example, Prompted)
    if example.reference is None:
        return [prompt]
    return [prompt, Part("reference, which the model doesn't see", [(example.reference, False)])]


def pieces_of(ids: Sequence[int], learned: Sequence[bool], tokenizer: "PreTrainedTokenizerBase") -> list[Piece]:
    """The text of the tokens in pieces of one kind. Empty for no token."""
    pieces: list[Piece] = []
    end, before = 0, ""
    for trained, group in groupby(learned):
        end += len(list(group))
        # From the beginning: by themselves some tokenizers lose the space before a word.
        text = tokenizer.decode(ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        pieces.append((text[len(before) :], trained))
        before = text
    return pieces


def _answer(title: str, prompt: Sequence[int], answer: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> Part:
    learned = [False] * len(prompt) + [True] * len(answer)
    return Part(title, [piece for piece in pieces_of([*prompt, *answer], learned, tokenizer) if piece[1]])


def _note_of_cut(item: Encoded) -> list[Part]:
    return [Part(f"{item.cut} more tokens are cut off at max_length", [])] if item.cut else []
