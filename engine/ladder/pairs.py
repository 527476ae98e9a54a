"""Candidates with their scores, and every two of them compared on the examples that both were scored on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rung.engine.ladder.spec import Rung
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import compare_scores
from rung.engine.stats.intervals import Bounds, Estimate
from rung.engine.stats.paired import Difference, Pair, holm

RUNG_WORDS: dict[Rung, str] = {"prompt": "prompting", "rag": "retrieval", "tune": "fine-tuning"}


@dataclass(frozen=True)
class Measured:
    """One candidate's scores on the held-out examples.

    `looks` is the number of candidates of which it was picked by these very examples (1: it was not); its interval is
    corrected for them, and so are its comparisons.
    """

    candidate: str
    rung: Rung
    label: str
    estimate: Estimate
    scores: tuple[ExampleScore, ...]
    looks: int = 1

    @property
    def figures(self) -> str:
        """`0.410 [0.344, 0.480]`."""
        return f"{self.estimate.score:.3f} [{self.estimate.low:.3f}, {self.estimate.high:.3f}]"

    @property
    def examples(self) -> str:
        """`200 held-out examples`, with the number of groups they fall into where there are any."""
        groups = f" in {self.estimate.groups:,} groups" if self.estimate.groups is not None else ""
        return f"{self.estimate.n:,} held-out examples{groups}"

    @property
    def named(self) -> str:
        """`retrieval (k=3)`."""
        return f"{RUNG_WORDS[self.rung]} ({self.label})"


def compare_candidates(metric: MetricSpec, measured: Sequence[Measured], confidence: float = 0.95) -> list[Pair]:
    """Every pair, p corrected for their number (Holm). Differences are positive where a is better, for every metric.

    Candidates that were picked out of several by these examples are compared at a stricter level (Bonferroni): the
    best of 20 equal ones looks better than it is.
    """
    pairs = list(combinations(measured, 2))
    found = [_difference(metric, a, b, confidence) for a, b in pairs]
    adjusted = holm([min(1.0, d.p * a.looks * b.looks) for d, (a, b) in zip(found, pairs, strict=True)])
    return [
        Pair(a.candidate, b.candidate, difference, p)
        for (a, b), difference, p in zip(pairs, found, adjusted, strict=True)
    ]


def flip(pair: Pair) -> Pair:
    """The same pair seen from the other side."""
    return Pair(pair.b, pair.a, pair.difference.flipped, pair.p_adjusted)


def too_few_groups_words(groups: int | None) -> str:
    """Why nothing is claimed although the interval alone would say it."""
    return f"the interval would say so, but {groups:,} groups are too few to exclude that a rare kind turns it round"


def oriented_values(
    metric: MetricSpec, a: Measured, b: Measured
) -> tuple[tuple[list[float], list[float]], Bounds | None]:
    """Both candidates' scores on their common examples, and the metric's bounds, turned so that higher is better."""
    by_id = {one.example: one.score for one in b.scores if one.score is not None}
    common = [(one.score, by_id[one.example]) for one in a.scores if one.score is not None and one.example in by_id]
    sign = 1.0 if metric.more_is_better else -1.0
    bounds = metric.bounds
    if bounds is not None and sign < 0:
        bounds = (-bounds[1], -bounds[0])
    return ([sign * own for own, _ in common], [sign * other for _, other in common]), bounds


def _difference(metric: MetricSpec, a: Measured, b: Measured, confidence: float) -> Difference:
    level = 1 - (1 - confidence) / (a.looks * b.looks)
    return _better_by(metric, compare_scores(metric, a.scores, b.scores, level))


def _better_by(metric: MetricSpec, difference: Difference) -> Difference:
    return difference if metric.more_is_better else difference.flipped
