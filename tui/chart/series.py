"""What a chart is given: one curve and how it is drawn, told apart without colour."""

from array import array
from dataclasses import dataclass
from typing import Literal

Line = Literal["solid", "dashed", "dotted", "points"]


@dataclass(frozen=True)
class Series:
    """One curve over steps. `steps` ascends; NaN in `values` is a gap.

    `key` names the data: equal keys promise the same data, grown at its end at most. `mark` is the curve's character in
    ASCII, and stands at its points when `marked`. `color` is 1 to 6, a token of the theme.
    """

    key: str
    label: str
    steps: "array[float]"
    values: "array[float]"
    color: int = 1
    line: Line = "solid"
    mark: str = "*"
    marked: bool = False
    dim: bool = False

    @property
    def count(self) -> int:
        """Points that have both: between two redraws a run's steps may be ahead of their moving average."""
        return min(len(self.steps), len(self.values))
