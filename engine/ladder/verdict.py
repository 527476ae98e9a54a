"""Which rung to stop at: a pure function of what was measured, whose every reason names its figures.

With a target: the lowest rung whose interval clears it, else none. Without one: the lowest rung shown at most `margin`
worse than the best, provided that every rung below was shown worse; undecided where a rung is neither.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.ladder.pairs import RUNG_WORDS, Measured, compare_candidates, flip, oriented_values
from engine.ladder.spec import RUNGS, Rung
from engine.measure.intervals import Estimate
from engine.measure.metrics.spec import MetricSpec
from engine.measure.paired import Pair, non_inferior, shown_worse
from engine.measure.power import examples_for_target, examples_to_settle

ALPHA = 0.05
VerdictRung = Literal["prompt", "rag", "tune", "none", "undecided"]


@dataclass(frozen=True)
class Question:
    """What the verdict is about: the metric, the target or None, and what counts as no worse."""

    metric: MetricSpec
    target: float | None = None
    margin: float = 0.02

    def better(self, one: float, other: float) -> bool:
        """Whether the first score is the better one."""
        return one > other if self.metric.more_is_better else one < other

    def clears(self, estimate: Estimate) -> bool:
        """Whether the whole interval lies at or beyond the target."""
        assert self.target is not None
        return estimate.low >= self.target if self.metric.more_is_better else estimate.high <= self.target

    def misses(self, estimate: Estimate) -> bool:
        """Whether the whole interval falls short of the target."""
        assert self.target is not None
        return estimate.high < self.target if self.metric.more_is_better else estimate.low > self.target


@dataclass(frozen=True)
class Verdict:
    """The rung to stop at, its candidate, and why. `examples_needed` is how many held-out examples would settle it."""

    rung: VerdictRung
    candidate: str | None
    reasons: list[str] = field(default_factory=list)
    examples_needed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The verdict as commands print it."""
        return {
            "rung": self.rung,
            "candidate": self.candidate,
            "reasons": self.reasons,
            "examples_needed": self.examples_needed,
        }


def decide(measured: Sequence[Measured], question: Question, skipped: Mapping[Rung, str] | None = None) -> Verdict:
    """The verdict over one candidate a rung (the best scored where a rung has several).

    `skipped` says why a rung was not measured; it is repeated among the reasons.
    """
    standing = _one_a_rung(measured, question)
    not_measured = [
        f"{RUNG_WORDS[rung]} was not measured: {why}"
        for rung, why in (skipped or {}).items()
        if rung not in {item.rung for item in standing}
    ]
    if not standing:
        return Verdict("undecided", None, ["nothing is measured on the held-out examples yet", *not_measured])
    if question.target is not None:
        verdict = _by_target(standing, question)
    elif _all_wrong(standing, question):
        said = f"not one of {standing[0].estimate.n} held-out examples is answered right on any rung"
        verdict = Verdict("none", None, [f"{said}: nothing that was measured is of use"])
    else:
        verdict = _by_margin(standing, question)
    return Verdict(verdict.rung, verdict.candidate, [*verdict.reasons, *not_measured], verdict.examples_needed)


def _one_a_rung(measured: Sequence[Measured], question: Question) -> list[Measured]:
    best: dict[Rung, Measured] = {}
    for item in measured:
        if item.rung not in best or question.better(item.estimate.score, best[item.rung].estimate.score):
            best[item.rung] = item
    return [best[rung] for rung in RUNGS if rung in best]


def _best(standing: Sequence[Measured], question: Question) -> Measured:
    """The best score; of equal ones the lowest rung's."""
    best = standing[0]
    for item in standing[1:]:
        best = item if question.better(item.estimate.score, best.estimate.score) else best
    return best


def _all_wrong(standing: Sequence[Measured], question: Question) -> bool:
    """Whether every score is the metric's worst: then no rung stands out, however close they all are to the best."""
    bounds = question.metric.bounds
    if bounds is None:
        return False
    worst = bounds[0] if question.metric.more_is_better else bounds[1]
    return all(item.estimate.score == worst for item in standing)


def _by_target(standing: Sequence[Measured], question: Question) -> Verdict:
    target = f"the target {question.target:g}"
    reasons: list[str] = []
    for item in standing:
        if question.clears(item.estimate):
            reasons.append(
                f"{item.named} scores {item.figures} in {question.metric.name} on {item.estimate.n} held-out "
                f"examples: the whole interval is at {target} or better, and no lower rung is shown to reach it"
            )
            return Verdict(item.rung, item.candidate, reasons)
        reasons.append(_short_of_target(item, question))
    best = _best(standing, question)
    reasons.insert(0, f"no rung is shown to reach {target}: the best is {best.named} with {best.figures}")
    return Verdict("none", None, reasons)


def _short_of_target(item: Measured, question: Question) -> str:
    assert question.target is not None
    if question.misses(item.estimate):
        return f"{item.named} scores {item.figures}: short of the target {question.target:g}"
    # The scores behind a perplexity are its logarithms.
    target = math.log(question.target) if question.metric.name == "reference_perplexity" else question.target
    scores = [one.score for one in item.scores if one.score is not None]
    needed = examples_for_target(scores, target, bounds=question.metric.bounds)
    more = f"; about {needed:,} held-out examples would tell" if needed is not None else ""
    return (
        f"{item.named} scores {item.figures}, which leaves open whether it reaches the target {question.target:g}{more}"
    )


def _by_margin(standing: Sequence[Measured], question: Question) -> Verdict:
    best = _best(standing, question)
    pairs = compare_candidates(question.metric, standing)
    reasons: list[str] = []
    for item in standing:
        if item is best:
            if len(standing) == 1:
                reasons.append(f"{item.named} scores {item.figures}; no other rung was measured to compare it with")
            else:
                reasons.append(f"{item.named} has the best score, {item.figures} in {question.metric.name}")
            return Verdict(item.rung, item.candidate, reasons)
        pair = _oriented(pairs, item, best)
        gap = _gap(pair, item, best)
        if non_inferior(pair.difference, question.margin):
            reasons.append(f"{gap}: shown to be at most {question.margin:g} worse, so there is no need to climb on")
            return Verdict(item.rung, item.candidate, reasons)
        if not shown_worse(pair.difference, pair.p_adjusted, ALPHA):
            return _undecided(item, best, pair, question, reasons, len(pairs))
        reasons.append(f"{gap}: shown worse ({_p(pair.p_adjusted)}, corrected for {len(pairs)} comparisons)")
    raise AssertionError("the best candidate is among those looked at")


def _undecided(
    item: Measured, best: Measured, pair: Pair, question: Question, reasons: list[str], num_pairs: int
) -> Verdict:
    n = pair.difference.n
    # The correction for several pairs is part of the question, so it is part of the number that answers it.
    values, bounds = oriented_values(question.metric, item, best)
    needed = examples_to_settle(*values, question.margin, confidence=1 - ALPHA / num_pairs, bounds=bounds)
    needed = max(needed, n + 1) if needed is not None else None
    told = (
        f"about {needed:,} held-out examples would settle it, {needed - n:,} more than the {n:,} there are"
        if needed is not None
        else "as far as these scores tell, no affordable number of held-out examples would settle it"
    )
    said = (
        f"{_gap(pair, item, best)}: neither shown worse ({_p(pair.p_adjusted)}) nor shown to be at most "
        f"{question.margin:g} worse; {told}"
    )
    return Verdict("undecided", None, [*reasons, said], needed)


def _oriented(pairs: Sequence[Pair], item: Measured, best: Measured) -> Pair:
    """The pair with the difference item minus best."""
    for pair in pairs:
        if (pair.a, pair.b) == (item.candidate, best.candidate):
            return pair
    flipped = next(pair for pair in pairs if (pair.a, pair.b) == (best.candidate, item.candidate))
    return flip(flipped)


def _gap(pair: Pair, item: Measured, best: Measured) -> str:
    found = pair.difference
    return (
        f"{item.named} scores {item.figures}, {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}] against "
        f"{best.named} with {best.figures} on {found.n} held-out examples"
    )


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
