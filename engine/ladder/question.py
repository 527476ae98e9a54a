"""What a verdict is about, and what it is: the question, the answer, and what an open one still offers."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rung.engine.ladder.spec import Rung
from rung.engine.metrics.spec import MetricSpec
from rung.engine.stats.intervals import Estimate
from rung.engine.stats.power import ExamplesNeeded

ALPHA = 0.05
VerdictRung = Literal["prompt", "rag", "tune", "none", "undecided"]


@dataclass(frozen=True)
class Question:
    """What the verdict is about: the metric, the target or None, and what counts as no worse."""

    metric: MetricSpec
    target: float | None = None
    margin: float = 0.02

    @property
    def impossible(self) -> bool:
        """Whether the target lies outside what the metric can give."""
        bounds = self.metric.bounds
        return self.target is not None and bounds is not None and not bounds[0] <= self.target <= bounds[1]

    def better(self, one: float, other: float) -> bool:
        """Whether the first score is the better one."""
        return one > other if self.metric.more_is_better else one < other

    def clears(self, estimate: Estimate) -> bool:
        """Whether the score is shown to lie at or beyond the target."""
        assert self.target is not None
        return estimate.claim_low >= self.target if self.metric.more_is_better else estimate.claim_high <= self.target

    def misses(self, estimate: Estimate) -> bool:
        """Whether the score is shown to fall short of the target."""
        assert self.target is not None
        return estimate.claim_high < self.target if self.metric.more_is_better else estimate.claim_low > self.target

    def too_few_groups(self, estimate: Estimate) -> bool:
        """Whether the interval is wholly on one side of the target, and only groups that went unseen leave it open."""
        alone = replace(estimate, claim=None)
        settled = self.clears(alone) or self.misses(alone)
        return settled and not (self.clears(estimate) or self.misses(estimate))


@dataclass(frozen=True)
class Meanwhile:
    """What an undecided verdict still offers; none of it is shown by the data.

    `start_from` is the lowest rung that is not shown worse than a higher one (with a target: not shown to miss it),
    `largest_gain` the most that climbing on from it may bring as far as these examples can tell (the end of the
    interval), `margin_settled` the margin that this many examples would probably settle (power 80 %).
    """

    start_from: Rung | None = None
    candidate: str | None = None
    largest_gain: float | None = None
    margin_settled: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The rung to stop at, its candidate, and why.

    `needed` is how many held-out examples would settle an undecided one, `not_measured` the rungs that apply to the
    project and have no candidate, and `meanwhile` what to start from before it is settled.
    """

    rung: VerdictRung
    candidate: str | None
    reasons: list[str] = field(default_factory=list)
    needed: ExamplesNeeded | None = None
    not_measured: list[Rung] = field(default_factory=list)
    meanwhile: Meanwhile = Meanwhile()
    headline: str = ""

    def to_json(self) -> dict[str, Any]:
        """The verdict as commands print it."""
        needed = self.needed
        return {
            "rung": self.rung,
            "candidate": self.candidate,
            "headline": self.headline,
            "reasons": self.reasons,
            "examples_needed": needed.likely if needed is not None else None,
            "examples_range": [needed.low, needed.high] if needed is not None else None,
            "examples_unit": None if needed is None else "groups" if needed.groups else "examples",
            "not_measured": self.not_measured,
            "start_from": self.meanwhile.start_from,
            "start_candidate": self.meanwhile.candidate,
            "largest_gain": self.meanwhile.largest_gain,
            "margin_settled": self.meanwhile.margin_settled,
        }
