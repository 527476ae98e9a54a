"""What a run has changed, in words: its method's own figures before the first step and of the kept checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

ROUNDING = 1e-4
"""A change this small, of the larger figure or of 1, is no change: two evaluations may add up in another order."""
NO_PREFERENCE = 1e-3
"""A mean margin this small before the first step is that of a model which is its own reference."""


@dataclass(frozen=True)
class EndFigure:
    """One figure that the end of a run tells.

    `key` is its name in an evaluation; `higher_is_better` is None where neither direction is worse. `even_at` names the
    margin of a preference accuracy: while that is 0 every pair is a tie, which is no accuracy of 0.
    """

    key: str
    words: str
    higher_is_better: bool | None = None
    even_at: str | None = None


@dataclass(frozen=True)
class Outcome:
    """`words`: the figures before and after. `worse`: which of them came out worse, empty where none did."""

    words: str = ""
    worse: str = ""
    better: bool = False


@dataclass(frozen=True)
class _Measured:
    figure: EndFigure
    before: float | None
    after: float
    even: bool = False

    @property
    def words(self) -> str:
        said = f"{self.figure.words} "
        if self.before is not None:
            said += f"{self.before:.4g}{' (no preference yet)' if self.even else ''} before, "
        return f"{said}{self.after:.4g} after"

    @property
    def gain(self) -> float:
        """How much better it is than before, above 0, or worse, below; 0 where it can't be said."""
        if self.before is None or self.figure.higher_is_better is None:
            return 0.0
        change = self.after - self.before
        if abs(change) <= ROUNDING * max(1.0, abs(self.before), abs(self.after)):
            return 0.0
        return change if self.figure.higher_is_better else -change

    @property
    def worse_words(self) -> str:
        verb = "fell" if self.figure.higher_is_better else "rose"
        return f"{self.figure.words} {verb} by {-self.gain:.3g}"


def outcome_of(figures: Sequence[EndFigure], metrics: Mapping[str, float | None]) -> Outcome:
    """The outcome by a finished run's metrics (`NAME_before` and `NAME`); without any of the figures, its loss."""
    measured = list(_measured(figures, metrics)) or list(_measured([VALIDATION_LOSS], metrics))
    if not measured:
        return Outcome()
    words = "; ".join(one.words for one in measured)
    rows = int(metrics.get("n") or 0)
    if rows:
        words += f" ({rows:,} validation {'row' if rows == 1 else 'rows'})"
    worse = ", ".join(one.worse_words for one in measured if one.gain < 0)
    return Outcome(words, f"ended worse than it began: {worse}" if worse else "", any(one.gain > 0 for one in measured))


def _measured(figures: Sequence[EndFigure], metrics: Mapping[str, float | None]) -> Iterator[_Measured]:
    for figure in figures:
        before, after = metrics.get(f"{figure.key}_before"), metrics.get(figure.key)
        if after is None:
            continue
        margin = None if figure.even_at is None else metrics.get(f"{figure.even_at}_before")
        if before is not None and margin is not None and abs(margin) < NO_PREFERENCE:
            yield _Measured(figure, 0.5, after, even=True)
        else:
            yield _Measured(figure, before, after)


VALIDATION_LOSS = EndFigure("loss", "validation loss", higher_is_better=False)
PERPLEXITY = EndFigure("perplexity", "held-out perplexity", higher_is_better=False)
_MARGIN = EndFigure("rewards/margins", "preference margin", higher_is_better=True)
# With a reference, the model starts as its own: no pair is preferred to another before the first step.
PAIRS_BY_REFERENCE = (
    EndFigure("rewards/accuracies", "preference accuracy", higher_is_better=True, even_at="rewards/margins"),
    _MARGIN,
)
PAIRS = (EndFigure("rewards/accuracies", "preference accuracy", higher_is_better=True), _MARGIN)
LABELS = (_MARGIN,)
SCORES = (
    EndFigure("accuracy", "pairwise accuracy", higher_is_better=True),
    EndFigure("margin", "margin of the scores", higher_is_better=True),
)
REWARD = (
    EndFigure("reward", "mean reward", higher_is_better=True),
    EndFigure("kl", "divergence from the reference"),
)
STUDENT = (
    EndFigure("student_score", "the student's score", higher_is_better=True),
    EndFigure("score_gap", "gap to the teacher's"),
    VALIDATION_LOSS,
)
