"""The next token of each row of a batch, chosen where the logits lie. Used only inside a worker: imports torch."""

from collections.abc import Sequence

import torch

from engine.generation import Decoding


def pick_tokens(logits: torch.Tensor, decoding: Decoding, randoms: Sequence[torch.Generator]) -> list[int]:
    """The likeliest token of each row at temperature 0, else one drawn from the top `top_p` of its probability.

    `logits`: [rows, vocabulary], float32, on any device. `randoms`: each row's own generator, on the CPU; it gives one
    number a token, so that an answer depends on its own seed alone, whatever else is in its batch and on which device.
    Nucleus sampling as in Holtzman et al., 2020.
    """
    if decoding.temperature <= 0:
        likeliest: list[int] = logits.argmax(dim=-1).tolist()
        return likeliest
    probabilities = torch.softmax(logits / decoding.temperature, dim=-1)
    order = None
    if decoding.top_p < 1.0:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        # A token stays when those before it have not reached top_p yet; the first always does.
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill((before >= decoding.top_p) & (before > 0), 0.0)
    # In float32 a sum over a large vocabulary would lose the last bits of the rare tokens.
    reached = probabilities.cumsum(-1, dtype=torch.float64)
    drawn = torch.tensor([[float(torch.rand((), generator=one, dtype=torch.float64))] for one in randoms])
    places = torch.searchsorted(reached, drawn.to(reached) * reached[:, -1:], right=True)
    # Rounded up to the whole sum, a number would point behind the last token that has any probability.
    places = places.clamp(max=(reached < reached[:, -1:]).sum(-1, keepdim=True))
    chosen: list[int] = (places if order is None else order.gather(-1, places)).squeeze(-1).tolist()
    return chosen
