"""What the advice rests on, as plain values: the data, the machine, what was measured, and the verdict over it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rung.engine.ladder.spec import RUNGS, Rung
from rung.engine.stats.intervals import Estimate, wilson

Action = Literal[
    "climb", "prompt", "rag", "tune", "distil", "preference", "stop", "fix_retrieval", "more_data", "more_examples",
    "bigger_machine", "not_tune", "model", "target", "margin",
]  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """One thing to do or to leave, and the figure it rests on."""

    action: Action
    text: str
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """The advice as plain values."""
        return {"action": self.action, "text": self.text, "evidence": self.evidence}


@dataclass(frozen=True)
class DataFacts:
    """What there is to work with; `more_is_better` is said of the metric."""

    train_rows: int = 0
    test_rows: int = 0
    preference_pairs: int = 0
    documents: int = 0
    has_bigger_model: bool = False
    more_is_better: bool = True


@dataclass(frozen=True)
class MachineFacts:
    """Whether each way of training fits in memory here, as forecast; empty where nothing was forecast."""

    fits: dict[str, bool] = field(default_factory=dict)

    @property
    def nothing_fits(self) -> bool:
        """Whether every way of training that was forecast is too large."""
        return bool(self.fits) and not any(self.fits.values())


@dataclass(frozen=True)
class Reading:
    """Of the `questions` of which a hit can be told, `found` had their right passage in the prompt, and
    `right_when_found` of those were answered right.

    `right_with_gold_alone` of the wrong ones become right when only that passage is shown. `in_documents`: questions
    whose right passage stands in the documents at all, None where that is not known. `retrieved`: those for which
    retrieval found it, whether or not it fit into the prompt; None in older scoreboards, which did not tell them apart.
    """

    questions: int
    found: int
    right_when_found: int
    right_with_gold_alone: int | None = None
    in_documents: int | None = None
    retrieved: int | None = None

    @property
    def missed(self) -> int | None:
        """Questions whose passage is in the documents and was not found; None where that is not known."""
        got = self.found if self.retrieved is None else self.retrieved
        return None if self.in_documents is None else max(0, self.in_documents - got)

    @property
    def wrong_when_found(self) -> int:
        """Questions whose passage was found and whose answer is wrong."""
        return self.found - self.right_when_found


@dataclass(frozen=True)
class LearningGain:
    """What the last rows of the learning curve added, and its 95 % interval, over the same `n` validation rows.

    `difference` is positive where more rows are better, whatever the metric's direction.
    """

    fewer: int
    more: int
    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class VerdictFacts:
    """A scoreboard's verdict, as far as its version wrote it down (see `rung.engine.ladder.question.Verdict`)."""

    rung: Literal["prompt", "rag", "tune", "none", "undecided"]
    candidate: str | None = None
    reasons: tuple[str, ...] = ()
    examples_needed: int | None = None
    examples_range: tuple[int, int | None] | None = None
    start_from: Rung | None = None
    not_measured: tuple[Rung, ...] = ()
    largest_gain: float | None = None
    margin_settled: float | None = None
    examples_unit: str = "examples"


def verdict_facts(value: Mapping[str, Any]) -> VerdictFacts:
    """The verdict of a scoreboard.json; what an older version did not write is unknown."""
    between = value.get("examples_range")
    return VerdictFacts(
        rung=value["rung"],
        candidate=value.get("candidate"),
        reasons=tuple(value.get("reasons") or ()),
        examples_needed=value.get("examples_needed"),
        examples_range=(between[0], between[1]) if between else None,
        start_from=value.get("start_from"),
        not_measured=tuple(value.get("not_measured") or ()),
        largest_gain=value.get("largest_gain"),
        margin_settled=value.get("margin_settled"),
        examples_unit=value.get("examples_unit") or "examples",
    )


@dataclass(frozen=True)
class Evidence:
    """What was measured so far, None where nothing was: each rung on the held-out examples, the verdict over them;
    retrieval by itself and the learning curve on the validation rows. `margin` is what counts as no worse; `bigger`
    is the best model behind an endpoint, `bounds` the metric's lowest and highest score, `picked` the rungs whose best
    candidate was picked by the held-out examples themselves: its interval claims too much."""

    prompt: Estimate | None = None
    rag: Estimate | None = None
    tune: Estimate | None = None
    verdict: VerdictFacts | None = None
    reading: Reading | None = None
    learning: LearningGain | None = None
    margin: float = 0.02
    bigger: Estimate | None = None
    bounds: tuple[float, float] | None = None
    picked: frozenset[Rung] = frozenset()

    @property
    def rungs(self) -> dict[Rung, Estimate]:
        """The rungs that were measured, the lowest first."""
        scores: dict[Rung, Estimate | None] = {"prompt": self.prompt, "rag": self.rag, "tune": self.tune}
        return {rung: score for rung in RUNGS if (score := scores[rung]) is not None}


def shown_above(part: int, whole: int, share: float) -> bool:
    """Whether the 95 % interval of a share lies above `share` as a whole."""
    return whole > 0 and wilson(part, whole)[0] > share


def share_words(part: int, whole: int) -> str:
    """`40 of 100 (40%, 95 % interval 31% to 50%)`."""
    low, high = wilson(part, whole)
    return f"{part} of {whole} ({part / whole:.0%}, 95 % interval {low:.0%} to {high:.0%})"
