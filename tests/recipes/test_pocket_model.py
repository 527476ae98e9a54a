"""The shipped weights: small, loaded by stock Transformers, and able to do what the model card says, on fresh text."""

import json
from functools import cache
from random import Random

import pytest
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from rung.recipes.pocket import evaluate
from tests.helpers.program import ROOT

MODEL = ROOT / "recipes" / "pocket" / "model"
FRESH_SEED = 424_242


@cache
def _loaded() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return evaluate.load(MODEL)


def _share(ability: str, n: int) -> float:
    cases = evaluate.ABILITIES[ability](Random(FRESH_SEED), n)
    given = evaluate.generate(*_loaded(), [case.messages for case in cases])
    return sum(text == case.answer for text, case in zip(given, cases, strict=True)) / n


def test_the_weights_are_safetensors_of_at_most_12_mb_and_nothing_else() -> None:
    assert (MODEL / "model.safetensors").stat().st_size <= 12_000_000
    assert not [p.name for p in MODEL.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_stock_transformers_loads_them_with_2_to_5_million_parameters() -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    assert isinstance(model, LlamaForCausalLM)
    assert 2e6 < model.num_parameters() < 5e6
    assert model.config.max_position_embeddings >= 1024
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_generation_stops_at_the_turn_s_end() -> None:
    settings = json.loads((MODEL / "generation_config.json").read_text())
    model, tokenizer = _loaded()
    assert settings["eos_token_id"] == tokenizer.eos_token_id
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello!"}], add_generation_prompt=True, return_tensors="pt"
    )
    out = model.generate(**ids, max_new_tokens=64)
    assert out[0, -1] == tokenizer.eos_token_id


# What these weights do, with room for chance on a small sample (the card has the figures at n = 400). Less means that
# the template, the tokenizer or the weights broke; the card says what is still asked of them.
@pytest.mark.parametrize(
    ("ability", "n", "least"),
    [
        ("passage", 60, 0.9),
        ("world knowledge, withheld phrasings", 60, 0.9),
        ("retrieved chunks", 60, 0.85),
        ("withheld patterns", 60, 0.75),
    ],
)
def test_abilities_on_a_small_fresh_sample(ability: str, n: int, least: float) -> None:
    assert _share(ability, n) >= least
