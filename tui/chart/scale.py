"""The vertical axis: a range that stands still while data grow, and labels with short numbers."""

import math
from dataclasses import dataclass

SMALLEST = 1e-12
LABEL_WIDTH = 7


@dataclass(frozen=True)
class Scale:
    """Bottom and top of the axis, in the drawn unit: the value, or its decimal logarithm."""

    low: float
    high: float
    log: bool

    def ticks(self, most: int) -> list[float]:
        """About `most` round values in the drawn unit, both ends where fewer than two are round."""
        apart = nice((self.high - self.low) / most)
        first = math.ceil(self.low / apart - 1e-6)
        last = math.floor(self.high / apart + 1e-6)
        even = [number * apart for number in range(first, last + 1)]
        found = self._log_ticks(most) if self.log else even
        return found if len(found) > 1 else [self.low, self.high]

    def _log_ticks(self, most: int) -> list[float]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        sets = (
            [decade + math.log10(digit) for decade in decades for digit in digits]
            for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,))
        )
        shown = [[tick for tick in ticks if self.low - 1e-9 <= tick <= self.high + 1e-9] for ticks in sets]
        powers = shown[-1][:: max(1, math.ceil(len(shown[-1]) / most))]
        return next((ticks for ticks in shown if len(ticks) <= most + 1), powers)

    def label(self, drawn: float) -> str:
        """The label of a value in the drawn unit."""
        return short(10**drawn, 0.0) if self.log else short(drawn, self.high - self.low)


def scale_over(low: float, high: float, log: bool) -> Scale:
    """A scale over values from `low` to `high`, rounded outwards so that it changes seldom."""
    if log:
        low, high = math.log10(max(low, SMALLEST)), math.log10(max(high, SMALLEST))
    if not high > low:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = nice((high - low) / 10)
    bottom = math.floor(low / step + 1e-9) * step
    return Scale(bottom, math.ceil(high / step - 1e-9) * step, log)


def short(value: float, resolution: float = 0.0) -> str:
    """A number in at most seven characters: 0.000125 is 1.2e-4."""
    size = abs(value)
    if size < resolution * 1e-6 or size == 0:
        return "0"
    if 10_000 <= size < 999_500:
        return f"{value / 1000:.3g}k"
    plain = f"{value:.4g}" if size >= 1 else f"{value:.3g}"
    if 1e-4 <= size < 999_500 and len(plain) <= LABEL_WIDTH:
        return plain
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def nice(rough: float) -> float:
    """The round number (1, 2, 2.5 or 5 times a power of ten) at or above `rough`, which is positive."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
