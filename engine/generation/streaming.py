"""Answers streamed side by side: candidates advance together, with the same decoding and the same seed.

A loop of our own rather than `model.generate`: candidates in step, each with its own random numbers, a cancel within
one token, and text that never ends in half a character. Used only inside a worker: imports torch.
"""

import inspect
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from rung.engine.core.errors import EngineError
from rung.engine.generation.candidates import LoadedCandidates
from rung.engine.generation.client import Decoding
from rung.engine.generation.sampling import pick_tokens

FLUSH_SECONDS = 0.1
SLICE_TOKENS = 8
"""Tokens a group advances before the next has its turn: switching adapters costs milliseconds on a large model."""
REPLACEMENT = "\ufffd"


def stream_answers(
    loaded: LoadedCandidates,
    prompts: dict[str, list[int]],
    decoding: Decoding,
    on_text: "Callable[[Answer, str], None]",
    is_cancelled: Callable[[], bool],
) -> "list[Answer]":
    """Answer the prompts (token ids by candidate); gives the answers in the same order.

    `on_text(answer, piece)` gets the text in pieces, at most ten times a second.
    """
    answers = {label: Answer(label, loaded.tokenizer(label), decoding, loaded.stop_ids(label)) for label in prompts}
    groups = [_Group(labels, prompts[labels[0]], [answers[label] for label in labels], loaded.device)
              for labels in loaded.groups(list(prompts))]  # fmt: skip
    flushed = [time.monotonic()]

    def after_token() -> None:
        if is_cancelled():
            for answer in answers.values():
                answer.stop_reason = answer.stop_reason or "cancelled"
        if time.monotonic() - flushed[0] >= FLUSH_SECONDS:
            _flush(answers.values(), on_text)
            flushed[0] = time.monotonic()

    while running := [group for group in groups if not group.done]:
        for group in running:
            group.advance(loaded, None if loaded.one_at_a_time or len(running) == 1 else SLICE_TOKENS, after_token)
    _flush(answers.values(), on_text)
    return list(answers.values())


class Answer:
    """One candidate's growing answer. `seconds` is the time spent on it, not the others' turns."""

    def __init__(self, candidate: str, tokenizer: Any, decoding: Decoding, stop_ids: frozenset[int]) -> None:
        self.candidate = candidate
        self.ids: list[int] = []
        self.seconds = 0.0
        self.stop_reason: str | None = None
        self.decoding = decoding
        self._tokenizer, self._stop_ids = tokenizer, stop_ids
        self._sent = 0
        # Each candidate draws the same sequence of random numbers, so that equal models give equal text.
        self.random = torch.Generator().manual_seed(decoding.seed)

    def take(self, token: int) -> None:
        """Note the next token."""
        if token in self._stop_ids:
            self.stop_reason = "end"
            return
        self.ids.append(token)
        if len(self.ids) >= self.decoding.max_new_tokens:
            self.stop_reason = "length"

    @property
    def text(self) -> str:
        """The whole answer so far."""
        text: str = self._tokenizer.decode(self.ids, skip_special_tokens=True)
        return text

    @property
    def final_text(self) -> str:
        """The answer without white space at its ends: templates put a space or a newline around it."""
        return self.text.strip()

    def fresh_text(self) -> str:
        """What was added since the last call, without a last character whose bytes are not all there."""
        whole = self.text
        settled = whole if self.stop_reason else whole.rstrip(REPLACEMENT)
        fresh = settled[self._sent :]
        self._sent = max(self._sent, len(settled))
        return fresh


class _Group:
    """Candidates that one forward pass answers together, a row each, from one prompt."""

    def __init__(self, labels: tuple[str, ...], prompt: list[int], answers: list[Answer], device: str) -> None:
        self._labels, self._answers = labels, answers
        self._input = torch.tensor([prompt] * len(labels), device=device)
        self._cache: Any = None

    @property
    def done(self) -> bool:
        return all(answer.stop_reason for answer in self._answers)

    @torch.inference_mode()
    def advance(self, loaded: LoadedCandidates, limit: int | None, after_token: Callable[[], None]) -> None:
        """Add up to `limit` tokens to each answer (None: to the end)."""
        steps = 0
        with loaded.selected(self._labels) as forward:
            options = _last_logits_only(loaded.model(self._labels[0]))
            while not self.done and (limit is None or steps < limit):
                self._step(forward, options)
                after_token()
                steps += 1

    def _step(self, forward: Callable[..., Any], options: dict[str, int]) -> None:
        started = time.perf_counter()
        output = forward(self._input, past_key_values=self._cache, use_cache=True, **options)
        logits = output.logits[:, -1].float()
        running = [answer.stop_reason is None for answer in self._answers]
        rows = [row for row, is_running in enumerate(running) if is_running]
        for row, finite in zip(rows, torch.isfinite(logits[rows].amax(dim=-1)).tolist(), strict=True):
            if not finite:
                raise EngineError(
                    f"{self._answers[row].candidate} gives logits that are not numbers",
                    hint="try model.dtype: float32",
                )
        randoms = [self._answers[row].random for row in rows]
        tokens = [0] * len(running)  # A finished row goes on in the batch, unread.
        for row, token in zip(rows, pick_tokens(logits[rows], self._answers[0].decoding, randoms), strict=True):
            tokens[row] = token
            self._answers[row].take(token)
        fresh = torch.tensor(tokens, device=self._input.device)[:, None]
        self._cache = getattr(output, "past_key_values", None)
        # A model without a cache of the usual kind reads everything again each time: slow, and right.
        self._input = fresh if self._cache is not None else torch.cat([self._input, fresh], dim=1)
        elapsed = time.perf_counter() - started
        for answer, was_running in zip(self._answers, running, strict=True):
            answer.seconds += elapsed * was_running


def _last_logits_only(model: Any) -> dict[str, int]:
    """The option that keeps a long prompt from making logits for every position, where the model has it."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(inner.forward).parameters else {}


def _flush(answers: Iterable[Answer], on_text: Callable[[Answer, str], None]) -> None:
    for answer in answers:
        if piece := answer.fresh_text():
            on_text(answer, piece)
