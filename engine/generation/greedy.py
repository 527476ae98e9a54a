"""Greedy answers to several prompts at once, for samples, probes and replay. Only workers use it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rung.engine.data.encode import stop_ids
from rung.engine.generation.batched import Generated, Request, generate_batch
from rung.engine.generation.client import Decoding
from rung.engine.generation.within_memory import answer_within_memory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 16


def greedy_answers(
    model: Any, tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> list[list[int]]:
    """Token ids of the answer to each prompt (token ids), without the stop token. The model's mode is kept."""
    decoding = Decoding(max_new_tokens=max_new_tokens, temperature=0.0)
    stops = frozenset(stop_ids(tokenizer, model_stop_ids(model)))
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))

    def answer(batch: Sequence[Request]) -> list[Generated]:
        return generate_batch(model, model, tokenizer, batch, decoding, stops)

    answers: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            requests = [Request(list(prompts[number]), max_new_tokens) for number in numbers]
            generated = answer_within_memory(answer, requests)
            for number, given in zip(numbers, generated, strict=True):
                answers[number] = given.ids
    finally:
        model.train(was_training)
    return answers


def answer_text(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """The answer as a person reads it."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True)).strip()


def model_stop_ids(model: Any) -> list[int]:
    """The ids at which the model's own generation configuration stops."""
    ids = getattr(model.generation_config, "eos_token_id", None)
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
