"""What to do next and why: a pure function of the situation, the data, the machine and what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.measure.intervals import Estimate
from engine.project.schema import Want

FEW_ROWS = 100
"""Below this many training rows fine-tuning seldom helps more than the same rows do as examples in the prompt."""
RETRIEVAL_MISSES = 0.2
"""Above this share of questions whose passage is not found, retrieval is mended before anything is trained."""
READING_FAILS = 0.2
"""Above this share of wrong answers among the questions whose passage was found, reading or format is the problem."""
STILL_LEARNING = 0.02
"""A gain of more than this from the last rows that were added means that further ones would help too."""

Action = Literal[
    "climb", "prompt", "rag", "tune", "distil", "preference", "stop", "fix_retrieval", "more_data", "bigger_machine",
    "not_tune",
]  # fmt: skip


@dataclass(frozen=True)
class DataFacts:
    """What there is to work with.

    `learning_curve` is (training rows, score), from training on subsets; `more_is_better` is said of the metric.
    """

    train_rows: int = 0
    test_rows: int = 0
    preference_pairs: int = 0
    documents: int = 0
    has_bigger_model: bool = False
    learning_curve: tuple[tuple[int, float], ...] = ()
    more_is_better: bool = True


@dataclass(frozen=True)
class MachineFacts:
    """Whether each way of training fits in memory here, as forecast; empty where nothing was forecast."""

    fits: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Of `questions`, `found` had their right passage retrieved, and `right_when_found` of those
    were answered right; `right_with_gold_alone` of the wrong ones become right when only that passage is shown."""

    questions: int
    found: int
    right_when_found: int
    right_with_gold_alone: int | None = None

    @property
    def missed(self) -> float:
        """Share of questions whose passage was not found."""
        return 1 - self.found / self.questions if self.questions else 0.0

    @property
    def wrong_when_found(self) -> int:
        """Questions whose passage was found and whose answer is wrong."""
        return self.found - self.right_when_found


@dataclass(frozen=True)
class Evidence:
    """What was measured on the held-out examples so far; None where nothing was."""

    prompt: Estimate | None = None
    rag: Estimate | None = None
    tune: Estimate | None = None
    reading: Reading | None = None


@dataclass(frozen=True)
class Advice:
    """One thing to do or to leave, and the figure it rests on."""

    action: Action
    text: str
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """The advice as plain values."""
        return {"action": self.action, "text": self.text, "evidence": self.evidence}


def advise(
    wants: Sequence[Want],
    data: DataFacts,
    machine: MachineFacts | None = None,
    evidence: Evidence | None = None,
    target: float | None = None,
) -> list[Advice]:
    """The advice, most important first: what the evidence says, then what the situation says."""
    found = evidence or Evidence()
    given = [*_by_evidence(data, found, target), *_by_data(wants, data), *_by_machine(machine or MachineFacts())]
    given += [advice for want in wants for advice in _BY_WANT[want](data)]
    if found.prompt is None and found.rag is None and found.tune is None:
        given.append(
            Advice("climb", "Measure in this order: prompt, then RAG, then fine-tuning.", "nothing is measured yet")
        )
    return given


def _by_evidence(data: DataFacts, found: Evidence, target: float | None) -> list[Advice]:
    given = _by_target(found, target, data.more_is_better)
    # What would mend retrieval or reading is of no use once a rung is good enough.
    if not given and found.reading is not None and found.reading.questions:
        given += _by_reading(found.reading)
    given += _by_curve(data.learning_curve, data.more_is_better)
    return given


def _by_target(found: Evidence, target: float | None, more_is_better: bool) -> list[Advice]:
    """To stop at the lowest rung whose whole interval clears the target."""
    if target is None:
        return []
    rungs = (
        (found.prompt, "the model with its prompt is"),
        (found.rag, "retrieval is"),
        (found.tune, "the tuned model is"),
    )
    for score, named in rungs:
        if score is not None and (score.low >= target if more_is_better else score.high <= target):
            return [Advice("stop", f"Stop here: {named} good enough.", _against(score, target))]
    return []


def _by_reading(reading: Reading) -> list[Advice]:
    if reading.missed > RETRIEVAL_MISSES:
        missed = reading.questions - reading.found
        return [
            Advice(
                "fix_retrieval",
                "Mend retrieval first: other chunk sizes, more chunks, or dense search beside words.",
                f"the right passage is missing for {missed} of {reading.questions} questions ({reading.missed:.0%})",
            )
        ]
    if reading.found == 0 or reading.wrong_when_found / reading.found <= READING_FAILS:
        return []
    share = reading.wrong_when_found / reading.found
    figure = (
        f"the right passage was found for {reading.found} of {reading.questions} questions, and {share:.0%} of those"
    )
    if reading.right_with_gold_alone is None:
        return [Advice("tune", _TEACH_READING, f"{figure} were answered wrong")]
    rescued = reading.right_with_gold_alone / max(1, reading.wrong_when_found)
    figure = f"{figure} were answered wrong; the right passage alone mends {rescued:.0%} of them"
    if rescued > 0.5:
        return [Advice("rag", "Show fewer or better passages: the others lead the model astray (distractors).", figure)]
    return [Advice("tune", _TEACH_READING, figure)]


_TEACH_READING = "Fine-tune on answers from passages: the passage is there, and reading it or the answer's form fails."


def _by_curve(curve: Sequence[tuple[int, float]], more_is_better: bool) -> list[Advice]:
    if len(curve) < 2:
        return []
    (fewer, before), (more, after) = sorted(curve)[-2:]
    if (after - before if more_is_better else before - after) <= STILL_LEARNING:
        return []
    return [
        Advice(
            "more_data",
            "Get more training rows: the score still improves with them.",
            f"{before:.3f} with {fewer:,} rows, {after:.3f} with {more:,}",
        )
    ]


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


def _by_machine(machine: MachineFacts) -> list[Advice]:
    if not machine.fits or any(machine.fits.values()):
        return []
    return [
        Advice(
            "bigger_machine",
            "No way of training fits in memory here: a smaller model, or a larger machine.",
            f"forecast too large: {', '.join(machine.fits)}",
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


def _against(score: Estimate, target: float) -> str:
    return f"{score.score:.3f} [{score.low:.3f}, {score.high:.3f}] on {score.n} held-out examples, target {target:g}"
