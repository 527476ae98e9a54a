"""How many examples would settle a question, as far as the scores at hand can tell, and how far that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rung.engine.stats.clustered import Clustering, clustering_of_mean, groups_of
from rung.engine.stats.distributions import normal_quantile, two_sided_z
from rung.engine.stats.intervals import ZERO_TO_ONE, Bounds, finite_values, is_right_or_wrong
from rung.engine.stats.paired import compare, non_inferior, shown_worse
from rung.engine.stats.sample_size import (
    MOST_EXAMPLES,
    POWER,
    mcnemar_approximate,
    mcnemar_examples,
    mean_approximate,
    non_inferiority_approximate,
    non_inferiority_examples,
    target_approximate,
    target_examples,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

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
    tell no number of examples up to a million would do. With `groups` it is groups that are counted, and enough of
    them that a rare kind which went unseen couldn't change the answer.
    """
    import numpy as np

    found = compare(a_values, b_values, confidence, bounds=bounds, groups=groups)
    at_hand = found.groups or found.n
    if non_inferior(found, margin) or shown_worse(found, alpha=alpha):
        return ExamplesNeeded(at_hand, at_hand, at_hand, found.groups is not None)
    a, b = finite_values(a_values), finite_values(b_values)
    both = is_right_or_wrong(a) and is_right_or_wrong(b)
    scale = _Scale.of(a - b, groups, power, confidence, has_floor=not both)
    if both:
        means, no_worse, worse = _shares_to_settle(a - b, scale.worth, margin, power, confidence, alpha)
    else:
        means = _means(a - b, scale.worth, _widest(bounds))
        no_worse = mean_approximate(means + margin, _deviation(a - b), power, confidence)
        worse = mean_approximate(means, _deviation(a - b), power, 1 - alpha)
    low, high = _widest(bounds) or (None, None)
    no_worse = scale.counted(no_worse, means + margin, None if low is None else means - low)
    worse = scale.counted(worse, -means, None if high is None else high - means)
    return scale.needed(np.minimum(no_worse, worse))


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
    import numpy as np

    scores = finite_values(values)
    both = is_right_or_wrong(scores)
    scale = _Scale.of(scores, groups, power, confidence, has_floor=not both)
    if both:
        [means] = _shares([float(scores.mean())], scale.worth)
        numbers = target_approximate(means, target, power, confidence)
        numbers[0] = _or_inf(target_examples(float(means[0]), target, power, confidence))
    else:
        means = _means(scores, scale.worth, bounds)
        numbers = mean_approximate(means - target, _deviation(scores), power, confidence)
    room = None if bounds is None else np.where(means > target, means - bounds[0], bounds[1] - means)
    return scale.needed(scale.counted(numbers, np.abs(means - target), room))


@dataclass(frozen=True)
class _Scale:
    """How examples are counted: what those at hand are worth, and how many are asked for in place of n independent.

    Arrays of numbers begin with that for the observed score; the others are for scores drawn from what it leaves open.
    """

    at_hand: int
    worth: float
    groups: bool
    power: float
    confidence: float
    # Standard deviation of one unit's mean, and whether units that went unseen hold a claim back.
    deviation: float
    has_floor: bool
    # Groups for each independent example, and those that the t reference adds; groups for each effective one.
    units: float = 1.0
    added: float = 0.0
    uneven: float = 1.0

    @staticmethod
    def of(
        values: NDArray[np.float64],
        names: Sequence[str | None] | None,
        power: float,
        confidence: float,
        has_floor: bool,
    ) -> _Scale:
        found = groups_of(names)
        if found is None:
            return _Scale(len(values), len(values), False, power, confidence, _deviation(values), has_floor)
        spread: Clustering = clustering_of_mean(values, found, confidence)
        units = found.count / spread.effective_n
        # Guenther's correction (1981), with groups as what the spread is estimated from.
        added = two_sided_z(confidence) ** 2 / 2
        return _Scale(
            found.count, spread.effective_n, True, power, confidence, _deviation(values) * math.sqrt(units), True,
            units, added, found.count / found.effective,
        )  # fmt: skip

    def counted(self, independent: Numbers, gaps: Numbers, room: Numbers | None) -> Numbers:
        """Numbers of independent examples in the unit asked for; inf where the gap to what is to be excluded is none.

        `room` is how far the score lies from the bound on the gap's side, None where there is no bound.
        """
        import numpy as np

        numbers = np.ceil(independent * self.units + self.added - 1e-9)
        if self.has_floor and room is not None:
            numbers = np.maximum(numbers, self._floor(gaps, room))
        return np.where(gaps > 0, numbers, np.inf)

    def _floor(self, gaps: Numbers, room: Numbers) -> Numbers:
        """The numbers of units at which those that may have gone unseen change less than the gap, with `power`.

        `unseen_share` of n is c / (n + c / 2) to within 1 % from 6 on, c = -log(1 - confidence); and the observed gap
        is the true one less z standard errors with that power. That is a quadratic equation in the root of n + c / 2.
        """
        import numpy as np

        rare, chance = -math.log(1 - self.confidence), normal_quantile(self.power) * self.deviation
        gap = np.maximum(gaps, 1e-12)
        root = (chance + np.sqrt(chance**2 + 4 * gap * rare * room)) / (2 * gap)
        units: Numbers = np.ceil(self.uneven * np.maximum(1.0, root**2 - rare / 2))
        return units

    def needed(self, numbers: Numbers) -> ExamplesNeeded | None:
        """The likely number with the range of the drawn ones, all of them more than there are."""
        import numpy as np

        numbers = np.where(numbers > MOST_EXAMPLES, np.inf, np.maximum(numbers, self.at_hand + 1))
        likely, drawn = float(numbers[0]), np.sort(numbers[1:])
        affordable = drawn[np.isfinite(drawn)]
        if not len(affordable):
            return None
        last = len(drawn) - 1
        low, high = float(drawn[int(0.05 * last)]), float(drawn[math.ceil(0.95 * last)])
        number = math.ceil(likely if math.isfinite(likely) else float(np.median(affordable)))
        lowest = min(number, math.ceil(low)) if math.isfinite(low) else number
        highest = max(number, math.ceil(high)) if math.isfinite(likely) and math.isfinite(high) else None
        return ExamplesNeeded(lowest, number, highest, self.groups)


def _shares_to_settle(
    differences: NDArray[np.float64], worth: float, margin: float, power: float, confidence: float, alpha: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Differences of right/wrong scores, and the numbers that would show each of them no worse, and worse."""
    a_only, b_only = float((differences > 0).mean()), float((differences < 0).mean())
    a, b = _shares([a_only, b_only], worth)
    no_worse = non_inferiority_approximate(a, b, margin, power, confidence)
    no_worse[0] = _or_inf(non_inferiority_examples(a_only, b_only, margin, power, confidence))
    worse = mcnemar_approximate(a, b, power, 1 - alpha)
    worse[0] = _or_inf(mcnemar_examples(a_only, b_only, power, 1 - alpha))
    return a - b, no_worse, worse


def _or_inf(number: int | None) -> float:
    return math.inf if number is None else float(number)


def _shares(observed: Sequence[float], worth: float) -> list[Numbers]:
    """The observed shares, then true ones that go with them: draws from Jeffreys' posterior.

    Resampling the scores would never leave 0 or 1, and twelve right answers of twelve don't make a rate of 1.
    """
    import numpy as np

    counts = [share * worth + 0.5 for share in (*observed, max(0.0, 1 - sum(observed)))]
    drawn = np.random.default_rng(0).dirichlet(counts, _DRAWS)
    return [np.append(share, drawn[:, position]) for position, share in enumerate(observed)]


def _means(values: NDArray[np.float64], worth: float, bounds: Bounds | None) -> Numbers:
    """The observed mean, then true ones that go with it."""
    import numpy as np

    mean, error = float(values.mean()), _deviation(values) / math.sqrt(worth)
    means = mean + error * np.append(0.0, np.random.default_rng(0).standard_normal(_DRAWS))
    return means if bounds is None else np.clip(means, *bounds)


def _widest(bounds: Bounds | None) -> Bounds | None:
    return None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])


def _deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _two_digits(number: int) -> int:
    """A number of three digits or more, upwards to two of them: the range is no more exact than that."""
    unit = int(10 ** max(0, len(str(number)) - 2))
    return math.ceil(number / unit) * unit
