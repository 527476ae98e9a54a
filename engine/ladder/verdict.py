"""Which rung to stop at: a pure function of what was measured, whose every reason names its figures.

With a target: the lowest rung whose interval clears it, where every lower rung that applies was measured and is shown
to miss it; *none* where every rung that applies was measured and is shown to miss it. Without one: the lowest rung
shown at most `margin` worse than every higher one that was measured, where every lower rung that applies was measured
and is shown worse; never where a higher rung failed or the budget did not reach it. Everything else is *undecided*:
nothing follows from being observed best.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rung.engine.ladder.pairs import RUNG_WORDS, Measured
from rung.engine.ladder.question import ALPHA, Meanwhile, Question, Verdict
from rung.engine.ladder.spec import RUNGS, Rung
from rung.engine.ladder.verdict_margin import by_margin
from rung.engine.ladder.verdict_target import by_target
from rung.engine.metrics.summary import aggregate


def decide(
    measured: Sequence[Measured],
    question: Question,
    skipped: Mapping[Rung, str] | None = None,
    applies: Collection[Rung] | None = None,
    failed: Mapping[Rung, str] | None = None,
    out_of_budget: Collection[Rung] = (),
) -> Verdict:
    """The verdict over one candidate a rung.

    Where a rung has several, the best scored speaks for it, its interval corrected for their number. `applies` are the
    rungs that this project has (None: those that were measured); `skipped` and `failed` say why a rung was not
    measured, `out_of_budget` which of them the budget did not reach.
    """
    standing = one_a_rung(measured, question)
    there = {item.rung for item in standing}
    missing = [rung for rung in RUNGS if rung in (applies or ()) and rung not in there]
    why_not = dict(skipped or {}) | dict(failed or {})
    lost = {
        rung: _lost_words(rung, rung in (failed or {})) for rung in missing if rung in {*(failed or ()), *out_of_budget}
    }
    if not standing:
        verdict = Verdict("undecided", None, ["nothing is measured on the held-out examples yet"])
    elif question.target is not None:
        verdict = by_target(standing, question, missing)
    else:
        verdict = _open_where_lost(by_margin(standing, question, missing), list(lost))
    absent = [rung for rung in RUNGS if rung not in there and (rung in missing or rung in why_not)]
    said = {rung: lost.get(rung, f"{RUNG_WORDS[rung]} was not measured") for rung in absent}
    notes = {rung: f"{words}: {why_not[rung]}" if rung in why_not else words for rung, words in said.items()}
    first = [notes.pop(rung) for rung in lost] if verdict.rung == "undecided" else []
    reasons = [*first, *verdict.reasons, *_looks(standing), *notes.values()]
    verdict = replace(verdict, reasons=reasons, not_measured=missing)
    return replace(verdict, headline=headline(verdict, question, lost))


def headline(verdict: Verdict, question: Question, lost: Mapping[Rung, str] | None = None) -> str:
    """The verdict in one line, which claims no more than its reasons do. `lost`: rungs that were to be measured and
    were not, in words."""
    if verdict.rung == "none":
        if question.target is None:
            return "None: nothing that was measured is of use"
        reason = "no rung can reach" if question.impossible else "every rung is shown to miss"
        return f"None: {reason} the target {question.target:g}"
    if verdict.rung != "undecided":
        words = {"prompt": "Stop at the prompt", "rag": "Stop at RAG: don't fine-tune", "tune": "Fine-tune"}
        above = [rung for rung in verdict.not_measured if RUNGS.index(rung) > RUNGS.index(verdict.rung)]
        if above and question.target is None:
            words["rag"] = "Stop at RAG"
            return f"{words[verdict.rung]}, of what was measured ({_list(above)} was not)"
        return words[verdict.rung]
    if lost:
        return f"Undecided: {' and '.join(lost.values())}"
    if verdict.not_measured and (verdict.meanwhile.start_from is None or verdict.needed is None):
        return f"Undecided: {_list(verdict.not_measured)} {_was(verdict.not_measured)} not measured"
    return "Undecided: too few examples to tell"


def _lost_words(rung: Rung, failed: bool) -> str:
    return f"{RUNG_WORDS[rung]} failed" if failed else f"the budget ended before {RUNG_WORDS[rung]}"


def _open_where_lost(verdict: Verdict, lost: Sequence[Rung]) -> Verdict:
    """Undecided where a higher rung was to be measured and was not: nothing says that it would do no better."""
    if verdict.rung not in RUNGS or not any(RUNGS.index(rung) > RUNGS.index(verdict.rung) for rung in lost):
        return verdict
    return Verdict("undecided", None, verdict.reasons, meanwhile=Meanwhile(verdict.rung, verdict.candidate))


def one_a_rung(measured: Sequence[Measured], question: Question) -> list[Measured]:
    """Who speaks for each rung, lowest first: its only candidate, or the best scored one with a corrected interval."""
    found = []
    for rung in RUNGS:
        there = [item for item in measured if item.rung == rung]
        if not there:
            continue
        best = there[0]
        for item in there[1:]:
            best = item if question.better(item.estimate.score, best.estimate.score) else best
        if len(there) > 1:
            wider = aggregate(question.metric, best.scores, 1 - ALPHA / len(there))
            best = replace(best, estimate=wider, looks=len(there))
        found.append(best)
    return found


def _looks(standing: Sequence[Measured]) -> list[str]:
    return [
        f"{item.named} was picked out of {item.looks} candidates by the held-out examples themselves: its interval and "
        f"its comparisons are corrected for {item.looks} looks"
        for item in standing
        if item.looks > 1
    ]


def _list(rungs: Sequence[Rung]) -> str:
    return " and ".join(RUNG_WORDS[rung] for rung in rungs)


def _was(rungs: Sequence[Rung]) -> str:
    return "was" if len(rungs) == 1 else "were"
