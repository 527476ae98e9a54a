"""How many prompts are answered at once: bounded by rows and by padded tokens."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

ROWS_A_BATCH = 64
# Padded prompt and answer tokens of one batch: bounds the key-value cache and the largest activation.
TOKENS_A_BATCH = 32_768


class Sized(Protocol):
    """What takes room in a batch: `size` is its prompt's tokens and the most that its answer may have."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


def plan_batches(items: Sequence[Item], rows: int | None = None) -> list[list[Item]]:
    """Batches of neighbours, as many each as the limits of rows and of padded tokens allow; longest items first."""
    most = rows or ROWS_A_BATCH
    batches: list[list[Item]] = []
    for item in items:
        current = batches[-1] if batches else []
        # The first row of a batch is its longest: all others are padded to it.
        if current and len(current) < most and current[0].size * (len(current) + 1) <= TOKENS_A_BATCH:
            current.append(item)
        else:
            batches.append([item])
    return batches
