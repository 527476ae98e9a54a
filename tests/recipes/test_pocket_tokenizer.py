"""The pocket model's tokenizer: any text comes back, known words are one token, the mask is right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rung.recipes.pocket import words, world
from rung.recipes.pocket.train import encode
from tests.helpers.program import ROOT

MODEL = ROOT / "recipes" / "pocket" / "model"
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What colour is the marlow?"},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": "And the tindle?"},
    {"role": "assistant", "content": '{"answer": "blue"}'},
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """The shipped tokenizer, loaded as a user loads it."""
    return AutoTokenizer.from_pretrained(MODEL)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80).filter(lambda text: "<|" not in text))
def test_any_text_comes_back_unchanged(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2.5, "x\\n"]}\n\n', "  two  spaces ", "Zürich → 東京 🙂", "\t- item\r\n", "don't 12:05 KX-42"]
)
def test_marks_and_spaces_come_back_unchanged(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("word", [*words.COLOURS[:8], *words.JOBS[:8], *world.TOWNS[:8], *world.PEOPLE[:8]])
def test_known_words_are_one_token_within_a_sentence(tokenizer: PreTrainedTokenizerBase, word: str) -> None:
    assert len(tokenizer.encode(f" {word}", add_special_tokens=False)) == 1


def test_an_unknown_word_is_the_same_syllables_wherever_it_stands(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("Suslixmere") == ["Su", "sli", "x", "mere"]
    assert tokenizer.tokenize(" Suslixmere") == ["Ġ", "Su", "sli", "x", "mere"]
    assert tokenizer.tokenize("(Suslixmere)") == ["(", "Su", "sli", "x", "mere", ")"]


def test_what_has_no_syllables_goes_byte_by_byte(tokenizer: PreTrainedTokenizerBase) -> None:
    assert len(tokenizer.encode("XQ-7Z", add_special_tokens=False)) == len("XQ-7Z")


def test_pad_differs_from_end_and_end_is_the_turn_s_end(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.eos_token == "<|end|>"


def test_the_mask_covers_the_answers_and_their_ends(tokenizer: PreTrainedTokenizerBase) -> None:
    out = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    trained = [i for i, on in zip(out["input_ids"], out["assistant_masks"], strict=True) if on]
    assert tokenizer.decode(trained) == ' red<|end|> {"answer": "blue"}<|end|>'


def test_the_generation_prompt_is_the_chat_up_to_the_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    whole = tokenizer.apply_chat_template(CHAT, tokenize=False)
    prompt = tokenizer.apply_chat_template(CHAT[:-1], tokenize=False, add_generation_prompt=True)
    assert whole == prompt + ' {"answer": "blue"}<|end|>'


def test_an_unknown_role_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(Exception, match="knows the roles"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_training_writes_chats_as_the_template_does(tokenizer: PreTrainedTokenizerBase) -> None:
    ids, weights = encode(tokenizer.backend_tokenizer, CHAT)
    assert ids == tokenizer.apply_chat_template(CHAT, return_dict=False)
    answers = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)[
        "assistant_masks"
    ]
    assert [weight == 1.0 for weight in weights] == [bool(on) for on in answers]
