"""How surprised a model is by the reference answers. Used only inside a worker: imports torch."""

from collections.abc import Sequence

import torch

from rung.engine.data.encode import encode
from rung.engine.data.shapes import Conversation
from rung.engine.ladder.local_model import OpenModel
from rung.engine.ladder.prompts import build_messages
from rung.engine.ladder.sources import Material
from rung.engine.ladder.spec import CandidateSpec


def reference_losses(model: OpenModel, spec: CandidateSpec, material: Sequence[Material]) -> dict[str, float]:
    """Mean negative log-likelihood of each reference's tokens after its prompt, in nats a token, by example id.

    The tokens are those that fine-tuning learns: the answer with its stop token. What the context can't hold is cut.
    """
    losses = {}
    for item in material:
        messages = build_messages(spec, item.example, item.shots, item.chunks).messages
        answered = Conversation(
            [*messages, {"role": "assistant", "content": item.example.reference}], "", item.example.line
        )
        encoded = encode(answered, model.tokenizer, model.context or 1 << 30, "last_turn", spec.model.template_args)
        losses[item.example.id] = _loss(model, encoded.input_ids, encoded.labels)
    return losses


def _loss(model: OpenModel, ids: list[int], labels: list[int]) -> float:
    targets = torch.tensor(labels[1:], device=model.device)
    with torch.inference_mode():
        logits = model.forward(torch.tensor([ids], device=model.device))[0, :-1]
        return float(torch.nn.functional.cross_entropy(logits.float(), targets, ignore_index=-100))
