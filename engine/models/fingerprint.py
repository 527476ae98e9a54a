"""Proof that the base pane is the base: its logits on a fixed prompt, now and before any adapter was attached.

The same code path and batch shape on one device is expected to give the same bits, so the tolerance is tight.
Used only inside a worker: imports torch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

FIXED_TEXT = "A ladder stands on its lowest rung: climb no higher than you need."
MAX_TOKENS = 64
DECIMALS = 3


@dataclass(frozen=True)
class BaseCheck:
    """Whether the base, as it answers now, is the plain base: the model loaded without any adapter."""

    matches: bool
    max_logit_difference: float
    tolerance: float
    plain: str
    now: str


def fixed_prompt(tokenizer: Any, device: str, context: int | None) -> torch.Tensor:
    """The token ids of the fixed text, as many as the model has positions for, shape [1, tokens]."""
    ids = tokenizer(FIXED_TEXT)["input_ids"][: min(MAX_TOKENS, context or MAX_TOKENS)]
    return torch.tensor([ids], device=device)


def fingerprint(logits: torch.Tensor) -> str:
    """Hex sha256 of the logits rounded to three decimals; shape [vocabulary]."""
    rounded = torch.round(logits.double() * 10**DECIMALS).to(torch.int64)
    return hashlib.sha256(rounded.contiguous().numpy().tobytes()).hexdigest()


def compare_logits(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], dtype: torch.dtype, device: str) -> BaseCheck:
    """The worst difference over pairs (wanted, now); the first pair is the plain base and the base alone."""
    plain, now = pairs[0]
    difference = max(largest_difference(wanted, got) for wanted, got in pairs)
    allowed = tolerance(plain, dtype, device)
    return BaseCheck(difference <= allowed, difference, allowed, fingerprint(plain), fingerprint(now))


def tolerance(logits: torch.Tensor, dtype: torch.dtype, device: str) -> float:
    """Largest difference of a logit that still counts as equal.

    None on the CPU. On a GPU a call may pick another kernel than the last one did: one unit in the last place of the
    dtype at the size of the largest logit.
    """
    if device == "cpu":
        return 0.0
    return float(torch.finfo(dtype).eps) * float(logits.abs().max())


def largest_difference(wanted: torch.Tensor, got: torch.Tensor) -> float:
    """The largest difference between two tensors of one shape; infinite when it is not a number."""
    worst = float((wanted - got).abs().max())
    return worst if worst == worst else float("inf")
