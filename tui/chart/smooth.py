"""Exponential moving averages of growing curves."""

from array import array

# How much of the old average is kept at each point; 0 shows the curve as it is.
LEVELS = (0.0, 0.6, 0.8, 0.9, 0.97, 0.99)


class Smoothed:
    """The debiased exponential moving average of one curve, extended as the curve grows.

    s[t] = w s[t-1] + (1 - w) x[t], divided by 1 - w^t, so that the start is not pulled to zero (Adam's correction,
    Kingma and Ba 2015). A NaN gives NaN and leaves the average as it was.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.values: array[float] = array("d")
        self._sum = 0.0
        self._rest = 1.0

    def extend(self, raw: "array[float]") -> "array[float]":
        """Take in the points that came since the last call, and give the whole average."""
        weight, total, rest = self.weight, self._sum, self._rest
        fresh: list[float] = []
        for value in raw[len(self.values) :]:
            if value == value:
                total = weight * total + (1.0 - weight) * value
                rest *= weight
                fresh.append(total / (1.0 - rest))
            else:
                fresh.append(value)
        self.values.extend(fresh)
        self._sum, self._rest = total, rest
        return self.values
