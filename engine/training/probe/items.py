"""What the forgetting meter measured, item by item: figures, their intervals, and how they changed between two times.

Intervals are of 95 %. Over texts: a ratio of sums (nats to tokens) over independent texts, linearised, with Student's t
(Cochran 1977, 6.4); where the texts are parts of documents, over the documents' sums, which is his cluster estimator
(9A). Over questions with right and wrong answers: Wilson's, and Tango's for a change.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rung.engine.stats.distributions import student_t_quantile
from rung.engine.stats.intervals import wilson
from rung.engine.stats.paired import compare

Interval = tuple[float, float]
LARGEST_LOSS = 50.0
COUNTS = ("n", "documents", "questions", "instructions", "chance")
"""What stands beside the figures and is none that could change."""
_CONFIDENCE = 0.95
_SHARES = ("option_accuracy", "letter_accuracy", "instructions_followed", "refusals")


@dataclass(frozen=True)
class ProbeItems:
    """`passages` and `answers`: (nats, tokens) of each text; the others 1 or 0 for each question.

    `option_accuracy` is by the likelihood of the options' texts, `letter_accuracy` by that of the letter asked for;
    `chance` the share right of who guesses. `documents` names the document of each passage, where several share one.
    """

    passages: list[tuple[float, int]]
    answers: list[tuple[float, int]] = field(default_factory=list)
    option_accuracy: list[float] = field(default_factory=list)
    letter_accuracy: list[float] = field(default_factory=list)
    instructions_followed: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    chance: float | None = None
    documents: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Loss and perplexity of the passages, KL over the answers, shares of the questions; with their counts."""
        loss = _ratio(self.passages)
        found = {"loss": loss, "perplexity": _perplexity(loss), "n": float(len(self.passages))}
        if self.answers:
            found["kl"] = _ratio(self.answers)
        found |= {name: sum(values) / len(values) for name, values in self._shares().items()}
        if self.documents:
            found["documents"] = float(len(set(self.documents)))
        if self.letter_accuracy:
            found["questions"] = float(len(self.letter_accuracy))
        if self.chance is not None:
            found["chance"] = self.chance
        if self.instructions_followed:
            found["instructions"] = float(len(self.instructions_followed))
        return found

    def intervals(self) -> dict[str, Interval]:
        """The interval of each figure, where its items are two or more."""
        found: dict[str, Interval] = {}
        if len(texts := self._texts()) > 1:
            loss = _around(_ratio(texts), _residuals(texts))
            found |= {"loss": loss, "perplexity": (_perplexity(loss[0]), _perplexity(loss[1]))}
        if len(self.answers) > 1:
            low, high = _around(_ratio(self.answers), _residuals(self.answers))
            found["kl"] = (max(0.0, low), high)
        return found | {name: wilson(sum(values), len(values)) for name, values in self._shares().items()}

    def change_intervals(self, before: "ProbeItems") -> dict[str, Interval]:
        """The interval of each figure's change since `before`, item against item."""
        found: dict[str, Interval] = {}
        texts, same = self._texts(), before._texts(self.documents)
        if len(self.passages) == len(before.passages) and len(texts) > 1:
            now, then = _residuals(texts), _residuals(same)
            loss, earlier = _ratio(texts), _ratio(same)
            found["loss"] = _around(loss - earlier, [a - b for a, b in zip(now, then, strict=True)])
            # Perplexity is e to the loss: its residuals are those of the loss times itself.
            high, low = _perplexity(loss), _perplexity(earlier)
            found["perplexity"] = _around(high - low, [high * a - low * b for a, b in zip(now, then, strict=True)])
        if len(self.answers) == len(before.answers) > 1:
            now, then = _residuals(self.answers), _residuals(before.answers)
            change = _ratio(self.answers) - _ratio(before.answers)
            found["kl"] = _around(change, [a - b for a, b in zip(now, then, strict=True)])
        earlier_shares = before._shares()
        for name, values in self._shares().items():
            if len(values) == len(earlier_shares.get(name, [])):
                difference = compare(values, earlier_shares[name])
                found[name] = (difference.low, difference.high)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ProbeItems":
        """The items that `to_json` wrote, in this version or one before."""
        texts = {name: [(float(nats), int(tokens)) for nats, tokens in value[name]] for name in ("passages", "answers")}
        return cls(**(present_names(value) | texts))

    def _texts(self, documents: Sequence[str] | None = None) -> list[tuple[float, int]]:
        """(nats, tokens) of each document: of each passage where they are texts of their own."""
        documents = self.documents if documents is None else documents
        if not documents:
            return self.passages
        sums: dict[str, tuple[float, int]] = {}
        for document, (nats, tokens) in zip(documents, self.passages, strict=True):
            known_nats, known_tokens = sums.get(document, (0.0, 0))
            sums[document] = (known_nats + nats, known_tokens + tokens)
        return list(sums.values())

    def _shares(self) -> dict[str, list[float]]:
        named = {name: getattr(self, name) for name in _SHARES}
        return {name: values for name, values in named.items() if values}


def present_names(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures under their present names: `accuracy` was the letters' before the options' texts were scored too."""
    return {"letter_accuracy" if name == "accuracy" else name: value for name, value in figures.items()}


def _ratio(items: Sequence[tuple[float, int]]) -> float:
    return sum(nats for nats, _ in items) / max(1, sum(tokens for _, tokens in items))


def _residuals(items: Sequence[tuple[float, int]]) -> list[float]:
    ratio, mean_tokens = _ratio(items), sum(tokens for _, tokens in items) / len(items)
    return [(nats - ratio * tokens) / max(1.0, mean_tokens) for nats, tokens in items]


def _around(value: float, residuals: Sequence[float]) -> Interval:
    n, mean = len(residuals), sum(residuals) / len(residuals)
    deviation = math.sqrt(sum((item - mean) ** 2 for item in residuals) / (n - 1))
    half = student_t_quantile(0.5 + _CONFIDENCE / 2, n - 1) * deviation / math.sqrt(n)
    return value - half, value + half


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, LARGEST_LOSS))
