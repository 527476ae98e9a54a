"""What to do next and why: a pure function of the situation, the data, the machine and what was measured.

Before anything is measured it goes by what is wanted; afterwards by the verdict and its figures alone.
"""

from collections.abc import Sequence

from rung.engine.ladder.advice_facts import Advice, DataFacts, Evidence, MachineFacts
from rung.engine.ladder.advice_measured import FEW_ROWS, machine_advice, next_steps, retrieval_advice
from rung.engine.project.schema import Want

_TRAINS = frozenset({"tune", "distil", "preference"})


def advise(
    wants: Sequence[Want],
    data: DataFacts,
    machine: MachineFacts | None = None,
    evidence: Evidence | None = None,
    target: float | None = None,
) -> list[Advice]:
    """The advice, never empty, the next step first."""
    found, here = evidence or Evidence(), machine or MachineFacts()
    if found.verdict is not None and found.rungs and found.verdict.rung in {"none", "undecided", *found.rungs}:
        return next_steps(found.verdict, found, data, here, target)
    given = [
        *retrieval_advice(found.reading),
        *_by_data(wants, data),
        *machine_advice(here),
        *(advice for want in wants for advice in _BY_WANT[want](data)),
    ]
    if any(one.action == "not_tune" for one in given):
        given = [one for one in given if one.action not in _TRAINS]
    unmeasured = "nothing is measured on the held-out examples yet"
    return [*given, Advice("climb", "Measure in this order: prompt, then RAG, then fine-tuning.", unmeasured)]


def _by_data(wants: Sequence[Want], data: DataFacts) -> list[Advice]:
    if wants == ["preference"] or data.train_rows >= FEW_ROWS:
        return []
    if data.train_rows == 0:
        return [Advice("not_tune", "There is nothing to fine-tune on yet.", "no training rows")]
    return [
        Advice(
            "not_tune",
            f"Too few rows to fine-tune on: use them as examples in the prompt, and collect at least {FEW_ROWS}.",
            f"{data.train_rows} training rows",
        )
    ]


def _facts(data: DataFacts) -> list[Advice]:
    have = f"{data.documents} documents" if data.documents else "no documents are named yet"
    return [
        Advice("rag", "RAG first: facts come from documents, often at less cost than training.", have),
        Advice("tune", "Fine-tune afterwards, if at all: it teaches the manner, and facts only poorly.", have),
    ]


def _format(data: DataFacts) -> list[Advice]:
    rows = f"{data.train_rows:,} training rows"
    return [
        Advice("prompt", "Prompt first: describe the form and show a few examples.", rows),
        Advice("tune", "Then fine-tune: form and tone are what it teaches best.", rows),
    ]


def _hard_task(data: DataFacts) -> list[Advice]:
    text = "Probably not by fine-tuning: what even large models fail at, a tuned small one is not capable of."
    return [Advice("not_tune", text, "the situation says that frontier models fail")]


def _cost(data: DataFacts) -> list[Advice]:
    have = "a bigger model is named" if data.has_bigger_model else "no bigger model is named yet"
    return [Advice("distil", "Fine-tune, yes: distil from the bigger model into the smaller one.", have)]


def _preference(data: DataFacts) -> list[Advice]:
    pairs = f"{data.preference_pairs:,} preference pairs"
    text = "Preference tuning (DPO): you know which of two answers is better, not what the ideal one is."
    return [Advice("preference", text, pairs)]


_BY_WANT = {"facts": _facts, "format": _format, "hard_task": _hard_task, "cost": _cost, "preference": _preference}
