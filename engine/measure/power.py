"""How many examples would settle a question, as far as the scores at hand can tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.measure.clustered import group_numbers
from engine.measure.intervals import ZERO_TO_ONE, Bounds, finite_values, is_right_or_wrong
from engine.measure.planning import needed_for_target, needed_to_settle
from engine.measure.sample_size import (
    MOST_EXAMPLES,
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
    """How many held-out examples, or groups of them, would settle a question with a power of 80 %.

    `likely` supposes that what was seen is the truth (None: more than anybody scores); `low` to `high` is the range
    over the truths that the examples at hand leave open, from the 5th to the 95th percentile (`high` None: no end).
    """

    low: int
    likely: int | None
    high: int | None
    groups: bool = False

    @property
    def words(self) -> str:
        """`about 60 to 2,900 held-out examples`."""
        what = "groups of held-out examples" if self.groups else "held-out examples"
        if self.high is None:
            return f"at least {self.low:,} {what}"
        if self.low == self.high:
            return f"about {self.low:,} {what}"
        return f"about {self.low:,} to {self.high:,} {what}"


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
    """How many examples in all would show a either worse than b or at most `margin` worse, whichever comes first.

    No worse is planned at the level that it is tested at (the interval's `confidence`), worse at `alpha`, which is
    corrected where several pairs are compared. Where examples come in groups, it is groups that are counted. None
    where no affordable number would do, as far as can be told.
    """
    a, b = finite_values(a_values), finite_values(b_values)
    numbers = group_numbers(groups, len(a))
    ranges = needed_to_settle(a - b, numbers, margin, power, confidence, alpha)
    if numbers is not None:
        return _in_all(ranges, None, int(numbers.max()) + 1, groups=True)
    exact = [examples_for_non_inferiority(a_values, b_values, margin, power, confidence, bounds)]
    if float((a - b).mean()) < 0:
        exact.append(examples_for_difference(a_values, b_values, power, 1 - alpha))
    possible = [number for number in exact if number is not None]
    return _in_all(ranges, min(possible) if possible else None, len(a))


def examples_for_target(
    values: Sequence[float],
    target: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str] | None = None,
) -> ExamplesNeeded | None:
    """How many examples in all would put the whole interval of the score on its side of the target, whichever it is.

    Where examples come in groups, it is groups that are counted. None where no affordable number would do.
    """
    scores = finite_values(values)
    numbers = group_numbers(groups, len(scores))
    ranges = needed_for_target(scores, numbers, target, power, confidence)
    if numbers is not None:
        return _in_all(ranges, None, int(numbers.max()) + 1, groups=True)
    mean = float(scores.mean())
    if is_right_or_wrong(scores):
        return _in_all(ranges, target_examples(mean, target, power, confidence), len(scores))
    exact = mean_examples(mean - target, _deviation(scores), power, confidence)
    if exact is not None and bounds is not None:
        room = mean - bounds[0] if mean > target else bounds[1] - mean
        exact = max(exact, _examples_for_floor(abs(mean - target) / room, confidence))
    return _in_all(ranges, exact, len(scores))


def _in_all(draws: NDArray[np.float64], exact: int | None, at_hand: int, groups: bool = False) -> ExamplesNeeded | None:
    """The range of the draws, more than there are at hand: with them the question is open."""
    import numpy as np

    low, middle, high = (float(value) for value in np.quantile(draws, [0.05, 0.5, 0.95], method="nearest"))
    if low > MOST_EXAMPLES and exact is None:
        return None
    likely = exact if exact is not None else math.ceil(middle) if middle <= MOST_EXAMPLES else None
    likely = None if likely is None else max(likely, at_hand + 1)
    least = max(at_hand + 1, min(math.ceil(min(low, MOST_EXAMPLES)), likely or MOST_EXAMPLES))
    most = None if high > MOST_EXAMPLES else max(math.ceil(high), likely or 0, least)
    return ExamplesNeeded(least, likely, most, groups)


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


def _examples_for_floor(share: float, confidence: float) -> int:
    """The size at which unseen answers can change less than this share (see `intervals.graded_intervals`)."""
    if share >= 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))


def _deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
