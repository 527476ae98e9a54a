"""Batched generation: many prompts at once, each with the answer that it would get alone.

Prompts are padded on the left under an attention mask, with positions counted from each prompt's own first token.
Finished answers leave the batch, so that one long answer doesn't hold up the rest. Imports torch: only workers use it.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rung.engine.core.errors import EngineError
from rung.engine.generation.client import Decoding
from rung.engine.generation.sampling import pick_tokens

# A finished answer is dropped from the batch once they are this share of it: dropping copies the cache.
_DROP_AT = 0.25


@dataclass(frozen=True)
class Request:
    """One prompt's token ids, the most tokens its answer may have, and the seed of its sampling."""

    ids: list[int]
    max_new_tokens: int
    seed: int = 0

    @property
    def size(self) -> int:
        """Tokens that it takes in a batch at the most."""
        return len(self.ids) + self.max_new_tokens


@dataclass
class Generated:
    """One answer's token ids, without the stop token. `stop_reason`: end (its own stop token), length, stop (text)."""

    ids: list[int] = field(default_factory=list)
    text: str = ""
    stop_reason: str = ""


def generate_batch(
    model: Any,
    forward: Callable[..., Any],
    tokenizer: Any,
    requests: Sequence[Request],
    decoding: Decoding,
    stop_ids: frozenset[int],
    stop_texts: Sequence[str] = (),
) -> list[Generated]:
    """Answer the requests together; gives the answers in their order.

    `forward` is the model, or the model with an adapter on. Raises EngineError where it gives logits that are not
    numbers, and torch.OutOfMemoryError where the batch doesn't fit.
    """
    batch = _Batch(model, tokenizer, requests, decoding, stop_ids, stop_texts)
    with torch.inference_mode():
        while batch.running:
            batch.step(forward)
    return batch.answers


class _Batch:
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        requests: Sequence[Request],
        decoding: Decoding,
        stop_ids: frozenset[int],
        stop_texts: Sequence[str],
    ) -> None:
        self.answers = [Generated() for _ in requests]
        self._tokenizer, self._requests, self._decoding = tokenizer, requests, decoding
        self._stop_ids, self._stop_texts = stop_ids, stop_texts
        self._random = [torch.Generator().manual_seed(request.seed) for request in requests]
        self._rows = list(range(len(requests)))  # the request that each row of the batch answers
        # Of a prompt, only the last place's logits.
        self._options = dict.fromkeys(accepted_options(model, ("logits_to_keep",)), 1)
        self._takes_positions = bool(accepted_options(model, ("position_ids",)))
        self._device = model.device
        self._cache: Any = None
        width = max(len(request.ids) for request in requests)
        pad = tokenizer.pad_token_id or 0
        padded = [[pad] * (width - len(request.ids)) + request.ids for request in requests]
        mask = [[0] * (width - len(request.ids)) + [1] * len(request.ids) for request in requests]
        self._input = torch.tensor(padded, device=self._device)
        self._mask = torch.tensor(mask, device=self._device)

    @property
    def running(self) -> bool:
        return any(not self.answers[row].stop_reason for row in self._rows)

    def step(self, forward: Callable[..., Any]) -> None:
        """Add one token to every answer of the batch."""
        options = dict(self._options)
        if self._takes_positions:
            positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
            options["position_ids"] = positions[:, -self._input.shape[1] :]
        output = forward(
            input_ids=self._input,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
        )
        logits = output.logits[:, -1].float()
        if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
            raise EngineError("The model gives logits that are not numbers", hint="try model.dtype: float32")
        tokens = self._choose(logits)
        for place, row in enumerate(self._rows):
            if not self.answers[row].stop_reason:
                self._take(row, tokens[place])
        self._cache = getattr(output, "past_key_values", None)
        self._append(tokens)
        self._drop_finished()

    def _choose(self, logits: torch.Tensor) -> list[int]:
        return pick_tokens(logits, self._decoding, [self._random[row] for row in self._rows])

    def _take(self, row: int, token: int) -> None:
        answer = self.answers[row]
        if token in self._stop_ids:
            answer.stop_reason = "end"
        else:
            answer.ids.append(token)
            if len(answer.ids) >= self._requests[row].max_new_tokens:
                answer.stop_reason = "length"
        if self._stop_texts or answer.stop_reason:
            answer.text = str(self._tokenizer.decode(answer.ids, skip_special_tokens=True))
            self._stop_at_text(answer)

    def _stop_at_text(self, answer: Generated) -> None:
        places = [place for text in self._stop_texts if (place := answer.text.find(text)) >= 0]
        if places:
            answer.text = answer.text[: min(places)]
            answer.stop_reason = "stop"

    def _append(self, tokens: list[int]) -> None:
        fresh = torch.tensor(tokens, device=self._device)[:, None]
        # A model without a cache of the usual kind reads everything again each time: slow, and right.
        self._input = fresh if self._cache is not None else torch.cat([self._input, fresh], dim=1)
        self._mask = torch.cat([self._mask, torch.ones_like(fresh)], dim=1)

    def _drop_finished(self) -> None:
        kept = [place for place, row in enumerate(self._rows) if not self.answers[row].stop_reason]
        if not kept or len(kept) > (1 - _DROP_AT) * len(self._rows):
            return
        if self._cache is not None and not hasattr(self._cache, "reorder_cache"):
            return
        places = torch.tensor(kept, device=self._device)
        self._rows = [self._rows[place] for place in kept]
        self._input, self._mask = self._input[places], self._mask[places]
        if self._cache is not None:
            self._cache.reorder_cache(places)


def accepted_options(model: Any, names: Sequence[str]) -> list[str]:
    """Of these optional arguments, those that the model's forward takes."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    known = inspect.signature(inner.forward).parameters
    return [name for name in names if name in known]
