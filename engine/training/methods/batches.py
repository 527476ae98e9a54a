"""Batches of rows of like length, in random order, the same on every resume.

Transformers' own grouping sorts whole stretches of 50 batches from long to short, so that on a small data set the
length of the rows, and with it the loss, falls over the epoch; here the batches of a stretch are shuffled again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

STRETCH = 50


class ShuffledLengthBatches(Sampler[int]):
    """Row numbers whose consecutive runs of `batch_size` have like lengths; a function of (seed, epoch) alone."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each pass, also when a resumed run enters in the middle."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        stretch = STRETCH * self._batch_size
        batches: list[list[int]] = []
        for start in range(0, len(order), stretch):
            rows = sorted(order[start : start + stretch], key=lambda row: self._lengths[row])
            batches += [rows[at : at + self._batch_size] for at in range(0, len(rows), self._batch_size)]
        # A short batch must stay last, or the data loader would cut the ones after it in two.
        full = [batch for batch in batches if len(batch) == self._batch_size]
        short = [batch for batch in batches if len(batch) < self._batch_size]
        for number in torch.randperm(len(full), generator=generator).tolist():
            yield from full[number]
        for batch in short:
            yield from batch


class LengthBatched:
    """Mixed into a trainer whose training rows have a `length`: batches hold rows of like length in random order.

    A batch is what one optimizer step takes, so that the order stays when memory asks for smaller parts of it.
    """

    def _get_train_sampler(self: Any, _train_dataset: object = None) -> Sampler[int]:
        lengths = self.train_dataset["length"]
        batch_size = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        return ShuffledLengthBatches(list(lengths), batch_size, self.args.seed)


class RepeatedPrompts(Sampler[int]):
    """Numbers of prompts as GRPO takes them: each `generations` times in a row, a batch of prompts at once, each batch
    `repeats` times in a row (the trainer answers it once and learns from the answers in that many parts).

    A function of (seed, epoch) alone. Prompts that fill no batch wait for another epoch, which is shuffled anew.
    """

    def __init__(self, count: int, generations: int, prompts_at_once: int, repeats: int, seed: int) -> None:
        self._count = count
        self._generations = generations
        self._prompts_at_once = prompts_at_once
        self._repeats = repeats
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each pass, also when a resumed run enters in the middle."""
        self._epoch = epoch

    def __len__(self) -> int:
        whole = self._count // self._prompts_at_once * self._prompts_at_once
        return whole * self._generations * self._repeats

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(self._count, generator=generator).tolist()
        for start in range(0, self._count - self._prompts_at_once + 1, self._prompts_at_once):
            batch = order[start : start + self._prompts_at_once]
            for _ in range(self._repeats):
                for number in batch:
                    yield from [number] * self._generations
