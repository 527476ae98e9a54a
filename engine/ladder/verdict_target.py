"""The verdict with a target: the lowest rung shown to reach it, where every lower one is shown to miss it."""

import math
from collections.abc import Sequence
from typing import Literal

from rung.engine.ladder.pairs import RUNG_WORDS, Measured, too_few_groups_words
from rung.engine.ladder.question import Meanwhile, Question, Verdict
from rung.engine.ladder.spec import RUNGS, Rung
from rung.engine.stats.power import ExamplesNeeded, examples_for_target

Fate = Literal["reaches", "misses", "open"]


def by_target(standing: Sequence[Measured], question: Question, missing: Sequence[Rung]) -> Verdict:
    """The verdict over one candidate a rung, lowest first; `missing` are the rungs that apply and have none."""
    if question.impossible:
        low, high = question.metric.bounds or (-math.inf, math.inf)
        said = f"{question.metric.name} lies between {low:g} and {high:g}: no rung can reach the target"
        return Verdict("none", None, [f"{said} {question.target:g}"])
    fates = [_fate(item, question) for item in standing]
    first = fates.index("reaches") if "reaches" in fates else None
    below = standing if first is None else standing[:first]
    open_ones = [item for item, fate in zip(below, fates, strict=False) if fate == "open"]
    lacking = [rung for rung in missing if first is None or RUNGS.index(rung) < RUNGS.index(standing[first].rung)]
    needed = {item.candidate: _needed(item, question) for item in open_ones}
    lines = [_line(item, question, needed.get(item.candidate)) for item in below]
    if first is not None:
        lines.append(_reached(standing[first], question))
    if first is not None and not open_ones and not lacking:
        return Verdict(standing[first].rung, standing[first].candidate, lines)
    if first is None and not open_ones and not lacking:
        best = _best(standing, question)
        none = (
            f"every rung is shown to miss the target {question.target:g}: the best is {best.named} with {best.figures}"
        )
        return Verdict("none", None, [none, *lines])
    start = open_ones[0] if open_ones and not _lower(lacking, open_ones[0].rung) else None
    meanwhile = Meanwhile(start.rung, start.candidate) if start is not None else Meanwhile()
    summary = _summary(standing[first] if first is not None else None, open_ones, lacking, question)
    if start is not None:
        lines.append(f"not shown, but the rung to start from meanwhile: {start.named}")
    return Verdict("undecided", None, [summary, *lines], _most(list(needed.values())), meanwhile=meanwhile)


def _fate(item: Measured, question: Question) -> Fate:
    if question.clears(item.estimate):
        return "reaches"
    return "misses" if question.misses(item.estimate) else "open"


def _summary(
    reached: Measured | None, open_ones: Sequence[Measured], lacking: Sequence[Rung], question: Question
) -> str:
    """`fine-tuning reaches the target 0.8; whether prompting does is open`."""
    target = f"the target {question.target:g}"
    doubts = [f"whether {RUNG_WORDS[item.rung]} does is open" for item in open_ones]
    doubts += [f"whether {RUNG_WORDS[rung]} does was not measured" for rung in lacking]
    which = "no rung that was measured" if lacking else "no rung"
    head = (
        f"{RUNG_WORDS[reached.rung]} reaches {target}" if reached is not None else f"{which} is shown to reach {target}"
    )
    return "; ".join([head, *doubts])


def _reached(item: Measured, question: Question) -> str:
    return (
        f"{item.named} scores {item.figures} in {question.metric.name} on {item.examples}: the whole interval is at "
        f"the target {question.target:g} or better"
    )


def _line(item: Measured, question: Question, needed: ExamplesNeeded | None) -> str:
    if question.misses(item.estimate):
        return f"{item.named} scores {item.figures} on {item.examples}: shown to miss the target {question.target:g}"
    more = f"; {too_few_groups_words(item.estimate.groups)}" if question.too_few_groups(item.estimate) else ""
    more += f"; {needed.words} would tell" if needed is not None else ""
    return (
        f"{item.named} scores {item.figures} on {item.examples}, which leaves open whether it reaches the target "
        f"{question.target:g}{more}"
    )


def _needed(item: Measured, question: Question) -> ExamplesNeeded | None:
    assert question.target is not None
    # The scores behind a perplexity are its logarithms.
    target = math.log(question.target) if question.metric.name == "reference_perplexity" else question.target
    known = [one for one in item.scores if one.score is not None]
    groups = [one.group for one in known]
    return examples_for_target(
        [float(one.score or 0.0) for one in known], target, bounds=question.metric.bounds,
        groups=[str(group) for group in groups] if item.estimate.groups is not None else None,
    )  # fmt: skip


def _most(needed: Sequence[ExamplesNeeded | None]) -> ExamplesNeeded | None:
    """What the most demanding of the open questions takes; None where that is unknown for one of them."""
    known = [one for one in needed if one is not None]
    return max(known, key=lambda one: one.likely or math.inf) if known and len(known) == len(needed) else None


def _lower(rungs: Sequence[Rung], than: Rung) -> bool:
    return any(RUNGS.index(rung) < RUNGS.index(than) for rung in rungs)


def _best(standing: Sequence[Measured], question: Question) -> Measured:
    best = standing[0]
    for item in standing[1:]:
        best = item if question.better(item.estimate.score, best.estimate.score) else best
    return best
