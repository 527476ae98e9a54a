"""Answers to a batch of prompts, halved until it fits in memory. Used only inside a worker."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Recovered

if TYPE_CHECKING:
    from rung.engine.generation.batched import Generated, Request


def answer_within_memory(
    answer: "Callable[[Sequence[Request]], list[Generated]]",
    requests: "Sequence[Request]",
    report: Callable[[Event], None] = lambda _event: None,
) -> "list[Generated]":
    """What `answer` gives to the requests, in their order. A batch that doesn't fit is halved, and that is reported.

    Raises EngineError where a single one doesn't fit.
    """
    import torch

    from rung.engine.jobs.failures import is_out_of_memory

    try:
        return answer(requests)
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        if len(requests) == 1:
            tokens = len(requests[0].ids)
            raise EngineError(
                "The memory is full: a single answer doesn't fit",
                f"a prompt of {tokens:,} tokens, an answer of up to {requests[0].max_new_tokens:,}",
                "end what else uses the memory, or take a smaller model, quantization or a shorter max_new_tokens",
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(requests) // 2
    report(Recovered("out of memory while answering", {"batch": len(requests)}, {"batch": half}))
    parts = (requests[:half], requests[half:])
    return [given for part in parts for given in answer_within_memory(answer, part, report)]
