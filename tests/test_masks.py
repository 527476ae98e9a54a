"""Which tokens are learned, under the chat templates that the installed trl ships and under our own."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.data.encode import encode, encode_prompt
from engine.data.shapes import Conversation, Passage
from engine.errors import EngineError
from engine.models import TEMPLATE_FOLDER
from tests.tiny import make_byte_tokenizer

TURNS = [
    {"role": "user", "content": "What is red?"},
    {"role": "assistant", "content": "A warm colour."},
    {"role": "user", "content": "And blue?"},
    {"role": "assistant", "content": "A cold one."},
]
# These take an answer as a list of text and picture parts only; text of a plain string is not written at all.
PICTURES = ()
SPEC = find_spec("trl")
FOLDER = Path(SPEC.origin).parent / "chat_templates" if SPEC and SPEC.origin else Path()
TEMPLATES = sorted(path for path in FOLDER.glob("*.jinja") )
OURS = sorted(TEMPLATE_FOLDER.glob("*.jinja"))


def tokenizer_with(template: Path) -> Any:
    tokenizer = make_byte_tokenizer(template.read_text(), context=100_000)
    # Ends of turns are special tokens in the families' real tokenizers, so they are here.
    ends = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|return|>", "</s>", "<|END_OF_TURN_TOKEN|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ends})
    return tokenizer


def learned_text(tokenizer: Any, turns: list[dict[str, Any]], loss_on: Any) -> str:
    item = encode(Conversation(turns, "here", 1), tokenizer, 100_000, loss_on)
    assert len(item.input_ids) == len(item.labels)
    assert all(label in (-100, token) for token, label in zip(item.input_ids, item.labels, strict=True))
    return str(tokenizer.decode([label for label in item.labels if label != -100]))


@pytest.mark.parametrize("template", [*TEMPLATES, *OURS], ids=lambda path: path.stem)
def test_the_last_answer_is_learned_and_no_question_is(template: Path) -> None:
    text = learned_text(tokenizer_with(template), TURNS, "last_turn")
    assert "A cold one." in text
    for turn in TURNS[:3]:
        assert turn["content"] not in text


@pytest.mark.parametrize("template", [*TEMPLATES, *OURS], ids=lambda path: path.stem)
def test_every_answer_is_learned_or_the_template_is_refused_with_what_to_do(template: Path) -> None:
    tokenizer = tokenizer_with(template)
    try:
        text = learned_text(tokenizer, TURNS, "assistant")
    except EngineError as error:
        assert "last_turn" in error.hint
        return
    assert "A warm colour." in text and "A cold one." in text
    assert "What is red?" not in text and "And blue?" not in text


@pytest.mark.parametrize("template", OURS, ids=lambda path: path.stem)
def test_our_templates_learn_their_stop_token_and_meet_the_prompt(template: Path) -> None:
    tokenizer = tokenizer_with(template)
    item = encode(Conversation(TURNS, "here", 1), tokenizer, 100_000, "assistant")
    assert tokenizer.eos_token_id in item.labels
    prompt = encode_prompt(TURNS[:3], tokenizer)
    assert item.input_ids[: len(prompt)] == prompt, "training sees what generation is prompted with"
    assert set(item.labels[len(prompt) - 1 : len(prompt)]) == {-100}
    assert item.labels[len(prompt)] != -100


def test_all_tokens_and_running_text() -> None:
    tokenizer = make_byte_tokenizer()
    item = encode(Conversation(TURNS, "here", 1), tokenizer, 100_000, "all")
    assert item.labels == item.input_ids
    passage = encode(Passage("Once upon a time", "here", 1), tokenizer, 100_000, "all")
    assert passage.labels == passage.input_ids and passage.input_ids[-1] == tokenizer.eos_token_id


def test_a_cut_is_counted() -> None:
    item = encode(Conversation(TURNS, "here", 7), make_byte_tokenizer(), 50, "assistant")
    assert len(item.input_ids) == 50 and item.cut > 0 and item.line == 7


def test_a_tokenizer_without_a_template_is_refused_with_an_offer() -> None:
    with pytest.raises(EngineError, match="no chat template") as caught:
        encode(Conversation(TURNS, "here", 1), make_byte_tokenizer(None), 100, "assistant")
    assert "plain" in caught.value.hint
