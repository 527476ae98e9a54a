"""Which steps a chart shows: all of them as they come, or a part that was zoomed into."""

from dataclasses import dataclass, replace

# The right end grows in jumps of a quarter, so that most redraws change only the newest columns.
GROWTH = 1.25
SMALLEST_END = 10.0


@dataclass(frozen=True)
class Window:
    """The shown steps from `left` to `right`; both None: everything. Follows the newest step while it is in sight."""

    left: float | None = None
    right: float | None = None

    def span(self, first: float, last: float, total: float | None) -> tuple[float, float]:
        """The steps shown when the data go from `first` to `last` of `total`."""
        if self.left is None or self.right is None:
            return min(first, 0.0) if first < last * 0.2 else first, _roomy_end(last, total)
        return self.left, self.right

    def zoomed(self, factor: float, around: float | None, span: tuple[float, float], last: float) -> "Window":
        """In by `factor` < 1 or out by `factor` > 1, around a step, by default the newest in sight."""
        left, right = span
        fixed = min(last, right) if around is None else min(max(around, left), right)
        width = (right - left) * factor
        if width < 2:
            return self
        share = (fixed - left) / (right - left) if right > left else 1.0
        new_left = fixed - width * share
        return _held(new_left, new_left + width, last)

    def panned(self, share: float, span: tuple[float, float], last: float) -> "Window":
        """Moved by a share of its width; an unzoomed window stays."""
        if self.left is None:
            return self
        left, right = span
        move = (right - left) * share
        return _held(left + move, right + move, last)

    def followed(self, old_last: float, last: float) -> "Window":
        """Moved on with the newest step, where that was in sight and would leave it."""
        if self.left is None or self.right is None or not (self.left <= old_last <= self.right < last):
            return self
        move = max(last - self.right, (self.right - self.left) / 4)
        return replace(self, left=self.left + move, right=self.right + move)


def _held(left: float, right: float, last: float) -> Window:
    """The window with these ends, kept over the data; everything when it covers them."""
    end = _roomy_end(last, None)
    if right - left >= end:
        return Window()
    if left < 0:
        left, right = 0.0, right - left
    if right > end:
        left, right = left - (right - end), end
    return Window(max(0.0, left), right)


def _roomy_end(last: float, total: float | None) -> float:
    end = SMALLEST_END
    while end < last:
        end *= GROWTH
    return end if total is None or last > total else min(end, max(total, 1.0))
