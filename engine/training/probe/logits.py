"""What a model says of texts, for the forgetting meter, in batches that keep the logits small. Only workers use it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rung.engine.models.logit_batches import CHUNK_ENTRIES, plan_batches

if TYPE_CHECKING:
    import torch


def each_logits(
    model: Any, pad: int, rows: Sequence[list[int]], firsts: Sequence[int], most: int
) -> "Iterator[tuple[int, torch.Tensor]]":
    """(number of the row, its logits from the place `firsts` says on) of each row of ids, in another order than theirs.

    [length - first, vocabulary]: a view of the batch's, so take what is wanted of it before the next.
    """
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    spans = [(first, len(row)) for first, row in zip(firsts, rows, strict=True)]
    for numbers in plan_batches(spans, vocabulary, most):
        first = min(firsts[number] for number in numbers)
        logits = _padded_logits(model, pad, [rows[number] for number in numbers], first)
        for number, of_row in zip(numbers, logits, strict=True):
            yield number, of_row[firsts[number] - first : len(rows[number]) - first]


def log_likelihood(logits: "torch.Tensor", ids: Sequence[int]) -> float:
    """Nats of the tokens, each told by the logits of its own row [tokens, vocabulary]."""
    import torch

    own = torch.tensor(list(ids), device=logits.device)[:, None]
    step = max(1, CHUNK_ENTRIES // logits.shape[-1])
    # Only a few places at once are made probabilities of: the whole row's would be twice its logits.
    return sum(
        float(logits[at : at + step].float().log_softmax(-1).gather(1, own[at : at + step]).sum())
        for at in range(0, len(ids), step)
    )


def _padded_logits(model: Any, pad: int, rows: Sequence[list[int]], first: int) -> "torch.Tensor":
    """[rows, longest - first, vocabulary]; rows are padded on the right, where causal attention doesn't look."""
    import torch

    from rung.engine.generation.batched import accepted_options

    tensors = [torch.tensor(row, device=model.device) for row in rows]
    inputs = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(row) for row in rows], device=model.device)
    mask = (torch.arange(inputs.shape[1], device=model.device)[None] < lengths[:, None]).long()
    wanted = inputs.shape[1] - first
    options = dict.fromkeys(accepted_options(model, ("logits_to_keep",)), wanted)
    logits: torch.Tensor = model(input_ids=inputs, attention_mask=mask, **options).logits
    return logits[:, -wanted:]
