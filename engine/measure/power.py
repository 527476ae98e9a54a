"""How many examples would settle a question, as far as the scores at hand can tell, and how far that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.measure.clustered import Clustering, clustering_of_mean, groups_of
from engine.measure.distributions import two_sided_z
from engine.measure.intervals import ZERO_TO_ONE, Bounds, finite_values, is_right_or_wrong
from engine.measure.paired import compare, non_inferior, shown_worse
from engine.measure.sample_size import (
    MOST_EXAMPLES,
    POWER,
    mcnemar_approximate,
    mcnemar_examples,
    mean_approximate,
    mean_examples,
    non_inferiority_approximate,
    non_inferiority_examples,
    target_approximate,
    target_examples,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Draws = NDArray[np.float64]

_DRAWS = 500


@dataclass(frozen=True)
class ExamplesNeeded:
    """How many examples (or groups of them) in all would settle a question: the likely number and its 5 to 95 % range.

    `high` is None where more than anybody scores may be needed.
    """

    low: int
    likely: int
    high: int | None
    groups: bool = False

    @property
    def words(self) -> str:
        """The range in words: "about 60 to 2,900 held-out examples"."""
        what = "groups of held-out examples" if self.groups else "held-out examples"
        low = _two_digits(self.low)
        if self.high is None:
            return f"at least {low:,} {what}"
        high = _two_digits(self.high)
        return f"about {low:,} {what}" if low == high else f"about {low:,} to {high:,} {what}"


def examples_to_settle(
    a_values: Sequence[float],
    b_values: Sequence[float],
    margin: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str | None] | None = None,
    alpha: float = 0.05,
) -> ExamplesNeeded | None:
    """How many examples in all would show a either worse than b or at most `margin` worse, whichever comes first.

    Non-inferiority is planned at `confidence`, the difference at `alpha`, corrected where several pairs are compared.
    The number at hand if the question is settled already, more than that otherwise; None if as far as the scores
    tell no number of examples up to a million would do. With `groups` it is groups that are counted.
    """
    found = compare(a_values, b_values, confidence, bounds=bounds, groups=groups)
    at_hand = found.groups or found.n
    if non_inferior(found, margin) or shown_worse(found, alpha=alpha):
        return ExamplesNeeded(at_hand, at_hand, at_hand, found.groups is not None)
    a, b = finite_values(a_values), finite_values(b_values)
    scale = _Scale.of(a - b, groups, confidence)
    if is_right_or_wrong(a) and is_right_or_wrong(b):
        a_only, b_only = float((a > b).mean()), float((a < b).mean())
        likely = _sooner(
            non_inferiority_examples(a_only, b_only, margin, power, confidence),
            mcnemar_examples(a_only, b_only, power, 1 - alpha) if a_only < b_only else None,
        )
        drawn_a, drawn_b = _drawn_shares([a_only, b_only], scale.worth)
        drawn = non_inferiority_approximate(drawn_a, drawn_b, margin, power, confidence)
        worse = mcnemar_approximate(drawn_a, drawn_b, power, 1 - alpha)
        return scale.needed(likely, _earlier(drawn, worse, drawn_a < drawn_b))
    mean, deviation = float((a - b).mean()), _deviation(a - b)
    likely = _sooner(
        _non_inferior_mean(mean, deviation, margin, power, confidence, bounds),
        mean_examples(mean, deviation, power, 1 - alpha) if mean < 0 else None,
    )
    means = _drawn_means(mean, deviation, scale.worth, _widest(bounds))
    drawn = _each(lambda one: _non_inferior_mean(one, deviation, margin, power, confidence, bounds), means)
    return scale.needed(likely, _earlier(drawn, mean_approximate(means, deviation, power, 1 - alpha), means < 0))


def examples_for_target(
    values: Sequence[float],
    target: float,
    power: float = POWER,
    confidence: float = 0.95,
    bounds: Bounds | None = ZERO_TO_ONE,
    groups: Sequence[str | None] | None = None,
) -> ExamplesNeeded | None:
    """How many examples would put the whole interval of the score on its side of the target.

    More than there are, as the question is taken to be open; None if no number up to a million would do, whatever
    the true score is among those that the scores at hand allow. With `groups` it is groups that are counted.
    """
    scores = finite_values(values)
    scale = _Scale.of(scores, groups, confidence)
    mean, deviation = float(scores.mean()), _deviation(scores)
    if is_right_or_wrong(scores):
        [rates] = _drawn_shares([mean], scale.worth)
        likely = target_examples(mean, target, power, confidence)
        return scale.needed(likely, target_approximate(rates, target, power, confidence))
    likely = _mean_for_target(mean, deviation, target, power, confidence, bounds)
    means = _drawn_means(mean, deviation, scale.worth, bounds)
    drawn = _each(lambda one: _mean_for_target(one, deviation, target, power, confidence, bounds), means)
    return scale.needed(likely, drawn)


@dataclass(frozen=True)
class _Scale:
    """How examples are counted: what those at hand are worth, and how many are asked for in place of n independent."""

    at_hand: int
    worth: float
    groups: bool
    # Groups for each independent example, and those that the t reference adds.
    units: float = 1.0
    added: float = 0.0

    @staticmethod
    def of(values: NDArray[np.float64], names: Sequence[str | None] | None, confidence: float) -> _Scale:
        found = groups_of(names)
        if found is None:
            return _Scale(len(values), len(values), False)
        spread: Clustering = clustering_of_mean(values, found, confidence)
        # Guenther's correction (1981), with groups as what the spread is estimated from.
        added = two_sided_z(confidence) ** 2 / 2
        return _Scale(found.count, spread.effective_n, True, found.count / spread.effective_n, added)

    def needed(self, likely: int | None, drawn: Draws) -> ExamplesNeeded | None:
        """The likely number with the range of the drawn ones, all of them more than there are."""
        import numpy as np

        numbers = np.sort(np.where(drawn > MOST_EXAMPLES, np.inf, drawn))
        affordable = numbers[np.isfinite(numbers)]
        if not len(affordable):
            return None
        last = len(numbers) - 1
        low, high = numbers[int(0.05 * last)], numbers[math.ceil(0.95 * last)]
        middle = float(np.median(affordable)) if likely is None else float(likely)
        number = self._counted(middle)
        lowest = min(number, self._counted(float(low))) if math.isfinite(low) else number
        highest = None if likely is None or not math.isfinite(high) else max(number, self._counted(float(high)))
        return ExamplesNeeded(lowest, number, highest, self.groups)

    def _counted(self, independent: float) -> int:
        return max(self.at_hand + 1, math.ceil(independent * self.units + self.added))


def _sooner(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _earlier(one: Draws, other: Draws, other_counts: NDArray[np.bool_]) -> Draws:
    import numpy as np

    return np.where(other_counts, np.minimum(one, other), one)


def _drawn_shares(shares: Sequence[float], worth: float) -> list[Draws]:
    """True shares that go with the observed ones: draws from Jeffreys' posterior.

    Resampling the scores would never leave 0 or 1, and twelve right answers of twelve don't make a rate of 1.
    """
    import numpy as np

    counts = [share * worth + 0.5 for share in (*shares, max(0.0, 1 - sum(shares)))]
    drawn = np.random.default_rng(0).dirichlet(counts, _DRAWS)
    return [drawn[:, position] for position in range(len(shares))]


def _drawn_means(mean: float, deviation: float, worth: float, bounds: Bounds | None) -> Draws:
    import numpy as np

    drawn = mean + deviation / math.sqrt(worth) * np.random.default_rng(0).standard_normal(_DRAWS)
    return drawn if bounds is None else np.clip(drawn, *bounds)


def _each(number_of: Callable[[float], int | None], means: Draws) -> Draws:
    import numpy as np

    numbers = [number_of(float(mean)) for mean in means]
    return np.array([np.inf if number is None else number for number in numbers], dtype=np.float64)


def _non_inferior_mean(
    mean: float, deviation: float, margin: float, power: float, confidence: float, bounds: Bounds | None
) -> int | None:
    if mean <= -margin:
        return None
    needed = mean_examples(mean + margin, deviation, power, confidence)
    if needed is None or bounds is None:
        return needed
    widest = bounds[1] - bounds[0]
    return max(needed, _examples_for_floor((mean + margin) / (widest + mean), confidence))


def _mean_for_target(
    mean: float, deviation: float, target: float, power: float, confidence: float, bounds: Bounds | None
) -> int | None:
    needed = mean_examples(mean - target, deviation, power, confidence)
    if needed is None or bounds is None:
        return needed
    room = mean - bounds[0] if mean > target else bounds[1] - mean
    return max(needed, _examples_for_floor(abs(mean - target) / room, confidence))


def _examples_for_floor(share: float, confidence: float) -> int:
    """The size at which unseen answers can change less than this share (see `intervals.graded_intervals`)."""
    if share >= 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))


def _widest(bounds: Bounds | None) -> Bounds | None:
    return None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])


def _deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _two_digits(number: int) -> int:
    """A number of three digits or more, upwards to two of them: the range is no more exact than that."""
    unit = int(10 ** max(0, len(str(number)) - 2))
    return math.ceil(number / unit) * unit
