"""How many examples would settle a question, as far as the scores at hand can tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.measure.intervals import ZERO_TO_ONE, Bounds, finite_values, is_right_or_wrong
from engine.measure.paired import compare, non_inferior
from engine.measure.sample_size import (
    POWER,
    mcnemar_examples,
    mean_examples,
    non_inferiority_examples,
    target_examples,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ExamplesNeeded:
    """How many held-out examples (or groups of them) would settle a question: a range, and the likeliest number."""

    low: int
    likely: int
    high: int | None
    groups: bool = False

    @property
    def words(self) -> str:
        """`about 60 to 2,900 held-out examples`."""
        what = "groups of held-out examples" if self.groups else "held-out examples"
        return f"at least {self.low:,} {what}" if self.high is None else f"about {self.low:,} to {self.high:,} {what}"


def examples_to_settle(
    a_values: Sequence[float],
    b_values: Sequence[float],
    margin: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> ExamplesNeeded | None:
    """How many examples would show a either worse than b or at most `margin` worse; None where none would."""
    likely = _settle(a_values, b_values, margin, power, confidence, bounds)
    return None if likely is None else ExamplesNeeded(likely, likely, likely)


def examples_for_target(
    values: Sequence[float],
    target: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str] | None = None,
) -> ExamplesNeeded | None:
    """How many examples would put the whole interval on its side of the target; None where none would."""
    likely = _target(values, target, power, confidence, bounds)
    return None if likely is None else ExamplesNeeded(likely, likely, likely)


def _settle(
    a_values: Sequence[float],
    b_values: Sequence[float],
    margin: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
) -> int | None:
    """How many examples in all would show a either worse than b or at most `margin` worse, whichever comes first.

    Supposes that the rates seen so far are the true ones. The number at hand if the question is settled already (at
    an uncorrected p); more than that otherwise; None if no number of examples up to a million would do.
    """
    found = compare(a_values, b_values, confidence, bounds=bounds)
    if non_inferior(found, margin) or (found.difference < 0 and found.p <= 1 - confidence):
        return found.n
    needed = [examples_for_non_inferiority(a_values, b_values, margin, power, confidence, bounds)]
    if found.difference < 0:
        needed.append(examples_for_difference(a_values, b_values, power, confidence))
    possible = [number for number in needed if number is not None]
    return max(min(possible), found.n + 1) if possible else None


def examples_for_difference(
    a_values: Sequence[float], b_values: Sequence[float], power: float = POWER, confidence: float = 0.95
) -> int | None:
    """How many examples would show the observed difference of two candidates; None where there is none."""
    a, b = finite_values(a_values), finite_values(b_values)
    if is_right_or_wrong(a) and is_right_or_wrong(b):
        return mcnemar_examples(float((a > b).mean()), float((a < b).mean()), power, confidence)
    return mean_examples(float((a - b).mean()), _deviation(a - b), power, confidence)


def examples_for_non_inferiority(
    a_values: Sequence[float],
    b_values: Sequence[float],
    margin: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
) -> int | None:
    """How many examples would show a at most `margin` worse than b; None if a is worse than that, as far as seen."""
    a, b = finite_values(a_values), finite_values(b_values)
    if is_right_or_wrong(a) and is_right_or_wrong(b):
        return non_inferiority_examples(float((a > b).mean()), float((a < b).mean()), margin, power, confidence)
    mean = float((a - b).mean())
    if mean <= -margin:
        return None
    needed = mean_examples(mean + margin, _deviation(a - b), power, confidence)
    if needed is None or bounds is None:
        return needed
    widest = bounds[1] - bounds[0]
    return max(needed, _examples_for_floor((mean + margin) / (widest + mean), confidence))


def _target(
    values: Sequence[float],
    target: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
) -> int | None:
    """How many examples would put the whole interval of the score on its side of the target; None if it is on it."""
    scores = finite_values(values)
    mean = float(scores.mean())
    if is_right_or_wrong(scores):
        return target_examples(mean, target, power, confidence)
    needed = mean_examples(mean - target, _deviation(scores), power, confidence)
    if needed is None or bounds is None:
        return needed
    room = mean - bounds[0] if mean > target else bounds[1] - mean
    return max(needed, _examples_for_floor(abs(mean - target) / room, confidence))


def _examples_for_floor(share: float, confidence: float) -> int:
    """The size at which unseen answers can change less than this share (see `intervals.graded_intervals`)."""
    if share >= 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))


def _deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
