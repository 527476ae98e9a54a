"""The next token of each row of a batch, chosen where the logits lie. Used only inside a worker: imports torch."""

from collections.abc import Sequence

import torch

from rung.engine.generation.client import Decoding

FEW = 1024
"""Tokens among which the nucleus nearly always lies: finding them is many times faster than sorting a vocabulary."""


def pick_tokens(logits: torch.Tensor, decoding: Decoding, randoms: Sequence[torch.Generator]) -> list[int]:
    """The likeliest token of each row at temperature 0, else one drawn from the top `top_p` of its probability.

    `logits`: [rows, vocabulary], float32, on any device. `randoms`: each row's own generator, on the CPU; it gives one
    number a token, so that an answer depends on its own seed alone, whatever else is in its batch and on which device.
    Nucleus sampling as in Holtzman et al., 2020.
    """
    if decoding.temperature <= 0:
        likeliest: list[int] = logits.argmax(dim=-1).tolist()
        return likeliest
    probabilities, order = torch.softmax(logits / decoding.temperature, dim=-1), None
    if decoding.top_p < 1.0:
        probabilities, order = _nucleus(probabilities, decoding.top_p)
    # In float32 a sum over a large vocabulary would lose the last bits of the rare tokens.
    reached = probabilities.cumsum(-1, dtype=torch.float64)
    drawn = torch.tensor([[float(torch.rand((), generator=one, dtype=torch.float64))] for one in randoms])
    places = torch.searchsorted(reached, drawn.to(reached) * reached[:, -1:], right=True)
    # Rounded up to the whole sum, a number would point behind the last token that has any probability.
    places = places.clamp(max=(reached < reached[:, -1:]).sum(-1, keepdim=True))
    chosen: list[int] = (places if order is None else order.gather(-1, places)).squeeze(-1).tolist()
    return chosen


def _nucleus(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(probabilities, likeliest first and zero outside the nucleus; their tokens), as many as the widest nucleus has.

    Of equally likely tokens the one with the lower number comes first, however they were found.
    """
    found, order = _likeliest(probabilities, top_p)
    # A token stays when those before it have not reached top_p yet; the first always does.
    before = found.cumsum(-1) - found
    outside = (before >= top_p) & (before > 0)
    widest = int((~outside).sum(-1).max())
    return found.masked_fill(outside, 0.0)[:, :widest], order[:, :widest]


def _likeliest(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens of each row in order, few where the nucleus lies among them, else all."""
    if probabilities.shape[-1] > FEW:
        few = probabilities.topk(FEW, dim=-1).indices.sort(dim=-1).values
        found, places = probabilities.gather(-1, few).sort(dim=-1, descending=True, stable=True)
        # Of tokens as likely as the last of these, others may have been left out: the nucleus must end before them.
        surely = torch.where(found > found[:, -1:], found, 0.0).sum(-1)
        if bool((surely >= top_p).all()):
            return found, few.gather(-1, places)
    found, order = probabilities.sort(dim=-1, descending=True, stable=True)
    return found, order
