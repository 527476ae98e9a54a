"""The verdict without a target: the lowest rung shown to be no worse, by the margin, than every higher one."""

from collections.abc import Sequence
from dataclasses import replace

from rung.engine.ladder.pairs import (
    RUNG_WORDS,
    Measured,
    compare_candidates,
    flip,
    oriented_values,
    too_few_groups_words,
)
from rung.engine.ladder.question import ALPHA, Meanwhile, Question, Verdict
from rung.engine.ladder.spec import RUNGS, Rung
from rung.engine.stats.distributions import normal_quantile, two_sided_z
from rung.engine.stats.paired import Pair, non_inferior, shown_worse
from rung.engine.stats.power import ExamplesNeeded, examples_to_settle
from rung.engine.stats.sample_size import POWER

OF_NO_USE = 0.1
"""Where every rung is shown to reach less than this share of the metric's range, none of them is recommended."""


def by_margin(standing: Sequence[Measured], question: Question, missing: Sequence[Rung]) -> Verdict:
    """The verdict over one candidate a rung, lowest first; `missing` are the rungs that apply and have none."""
    if _of_no_use(standing, question) and not missing:
        worst = (
            f"not one of {standing[0].examples} is answered right on any rung: each is shown to reach less than "
            f"{OF_NO_USE:.0%}, so nothing that was measured is of use"
        )
        return Verdict("none", None, [worst])
    if len(standing) == 1:
        return _alone(standing[0], missing)
    comparisons = _Comparisons(standing, question)
    winner = next(
        item for item in standing if all(comparisons.no_worse(item, other) for other in _above(standing, item))
    )
    lower = standing[: standing.index(winner)]
    lacking = [rung for rung in missing if RUNGS.index(rung) < RUNGS.index(winner.rung)]
    doubtful = [item for item in lower if not comparisons.worse(item, winner)]
    if doubtful or lacking:
        return _undecided(standing, winner, doubtful, lacking, comparisons)
    reasons = [comparisons.worse_words(item, winner) for item in lower]
    reasons += [comparisons.no_worse_words(winner, other) for other in _above(standing, winner)]
    if winner is standing[-1]:
        reasons.append(f"{winner.named} scores {winner.figures} in {question.metric.name} on {winner.examples}")
    return Verdict(winner.rung, winner.candidate, reasons)


def _alone(item: Measured, missing: Sequence[Rung]) -> Verdict:
    """One rung alone was measured: enough where no other one applies."""
    scored = f"{item.named} scores {item.figures} on {item.examples}"
    if not missing:
        return Verdict(item.rung, item.candidate, [f"{scored}; no other rung applies that it could be compared with"])
    lower = [rung for rung in missing if RUNGS.index(rung) < RUNGS.index(item.rung)]
    words = " and ".join(RUNG_WORDS[rung] for rung in missing)
    summary = f"only {RUNG_WORDS[item.rung]} was measured: whether {words} would do as well or better is not known"
    start = Meanwhile() if lower else Meanwhile(item.rung, item.candidate)
    return Verdict("undecided", None, [summary, scored], meanwhile=start)


def _undecided(
    standing: Sequence[Measured],
    winner: Measured,
    doubtful: Sequence[Measured],
    lacking: Sequence[Rung],
    comparisons: "_Comparisons",
) -> Verdict:
    if lacking:
        words = " and ".join(RUNG_WORDS[rung] for rung in lacking)
        first = f"whether {words} would do as well as {winner.named} with {winner.figures} was not measured"
        return Verdict("undecided", None, [first, *(comparisons.open_words(item, winner) for item in doubtful)])
    start = next(
        item for item in standing if not any(comparisons.worse(item, other) for other in _above(standing, item))
    )
    above = _above(standing, start) or [winner]
    rival = min(above, key=lambda other: comparisons.pair(start, other).difference.claim_low)
    asked = doubtful[0]
    against = winner if asked is not start else rival
    needed = comparisons.needed(asked, against)
    gain = max(0.0, -comparisons.pair(start, rival).difference.claim_low) if rival is not start else None
    reasons = [comparisons.open_words(item, winner if item is not start else rival, needed if item is asked else None)
               for item in doubtful]  # fmt: skip
    margin = comparisons.margin_settled(start, above) if rival is not start else None
    if gain is not None and margin is not None:
        reasons.append(
            f"not shown, but the rung to start from meanwhile: {start.named}; these examples can't exclude that "
            f"climbing on gains up to {gain:.3f}; a margin of about {margin:.2g} is what this many could settle"
        )
    return Verdict("undecided", None, reasons, needed, meanwhile=Meanwhile(start.rung, start.candidate, gain, margin))


def _of_no_use(standing: Sequence[Measured], question: Question) -> bool:
    """Whether every rung scores the metric's worst and is shown to reach next to nothing of its range."""
    bounds = question.metric.bounds
    if bounds is None:
        return False
    low, high = bounds
    if question.metric.more_is_better:
        return all(
            item.estimate.score == low and item.estimate.claim_high < low + OF_NO_USE * (high - low)
            for item in standing
        )
    return all(
        item.estimate.score == high and item.estimate.claim_low > high - OF_NO_USE * (high - low) for item in standing
    )


def _above(standing: Sequence[Measured], item: Measured) -> list[Measured]:
    return list(standing[standing.index(item) + 1 :])


class _Comparisons:
    """Every two of the rungs, and what is shown of them."""

    def __init__(self, standing: Sequence[Measured], question: Question) -> None:
        self._question = question
        found = compare_candidates(question.metric, standing)
        self._pairs = {(pair.a, pair.b): pair for one in found for pair in (one, flip(one))}
        self._number = len(found)

    def pair(self, item: Measured, other: Measured) -> Pair:
        """The difference item - other, positive where `item` is better."""
        return self._pairs[item.candidate, other.candidate]

    def no_worse(self, item: Measured, other: Measured) -> bool:
        """Whether `item` is shown to be at most the margin worse than `other`."""
        return non_inferior(self.pair(item, other).difference, self._question.margin)

    def worse(self, item: Measured, other: Measured) -> bool:
        """Whether `item` is shown to be worse than `other`."""
        pair = self.pair(item, other)
        return shown_worse(pair.difference, pair.p_adjusted, ALPHA)

    def _too_few_groups(self, item: Measured, other: Measured) -> bool:
        """Whether the interval settles it, and only groups that went unseen leave it open."""
        pair = self.pair(item, other)
        alone = replace(pair.difference, claim=None)
        settled = shown_worse(alone, pair.p_adjusted, ALPHA) or non_inferior(alone, self._question.margin)
        return settled and not (self.worse(item, other) or self.no_worse(item, other))

    def needed(self, item: Measured, other: Measured) -> ExamplesNeeded | None:
        """How many examples would show it either worse or no worse; each is planned at the level it is tested at."""
        values, bounds = oriented_values(self._question.metric, item, other)
        looks = item.looks * other.looks
        return examples_to_settle(
            *values, self._question.margin, confidence=1 - ALPHA / looks, alpha=ALPHA / (looks * self._number),
            bounds=bounds, groups=_groups(item, other),
        )  # fmt: skip

    def margin_settled(self, start: Measured, above: Sequence[Measured]) -> float:
        """The margin at which two equal rungs would be shown no worse with a power of 80 %, at this many examples."""
        widths = [self.pair(start, other).difference for other in above]
        # What is not excluded of a difference of 0, and how far the observed one may be from it.
        chance = normal_quantile(POWER) / two_sided_z(1 - ALPHA)
        return max((found.claim_high - found.claim_low) / 2 + chance * (found.high - found.low) / 2 for found in widths)

    def worse_words(self, item: Measured, other: Measured) -> str:
        """Why `item` is left behind."""
        p = self.pair(item, other).p_adjusted
        return f"{self._gap(item, other)}: shown worse ({_p(p)}, corrected for {self._number} comparisons)"

    def no_worse_words(self, item: Measured, other: Measured) -> str:
        """Why there is no need to climb on to `other`."""
        margin = self._question.margin
        return f"{self._gap(item, other)}: shown to be at most {margin:g} worse, so there is no need to climb on"

    def open_words(self, item: Measured, other: Measured, needed: ExamplesNeeded | None = None) -> str:
        """What is open between the two, and how many examples would settle it."""
        said = (
            f"{self._gap(item, other)}: neither shown worse ({_p(self.pair(item, other).p_adjusted)}) nor shown to be "
            f"at most {self._question.margin:g} worse"
        )
        if self._too_few_groups(item, other):
            said += f"; {too_few_groups_words(self.pair(item, other).difference.groups)}"
        return f"{said}; {needed.words} would settle it" if needed is not None else said

    def _gap(self, item: Measured, other: Measured) -> str:
        found = self.pair(item, other).difference
        groups = f" in {found.groups:,} groups" if found.groups is not None else ""
        return (
            f"{item.named} scores {item.figures}, {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}] "
            f"against {other.named} with {other.figures} on {found.n} held-out examples{groups}"
        )


def _groups(item: Measured, other: Measured) -> list[str] | None:
    """The group of each example that both were scored on, in the order of `oriented_values`; None without groups."""
    if item.estimate.groups is None:
        return None
    common = {one.example for one in other.scores if one.score is not None}
    return [str(one.group) for one in item.scores if one.score is not None and one.example in common]


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
