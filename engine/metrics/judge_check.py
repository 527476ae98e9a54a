"""How far a judge can be trusted: its agreement with a person's own verdicts on the same pairs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.read import Row, read_rows
from rung.engine.data.row_text import row_parts
from rung.engine.metrics.judge import Choice, Generate, JudgeCase, Judgment, judge_pairs
from rung.engine.stats.intervals import Estimate, estimate

FEWEST_LABELS = 30
_EXAMPLE = '{"question": "…", "a": "…", "b": "…", "preferred": "a"}'
_CHOICES: dict[str, Choice] = {"a": "a", "b": "b", "tie": "tie", "1": "a", "2": "b", "equal": "tie"}


@dataclass(frozen=True)
class LabelledCase:
    """A pair of answers and which one the person preferred."""

    case: JudgeCase
    preferred: Choice


@dataclass(frozen=True)
class JudgeCheck:
    """A judge's agreement with a person: the share of same verdicts, and Cohen's kappa, which takes chance out.

    `n` counts the pairs with both verdicts. `agreement` is None without any; `kappa` too, and where both gave one and
    the same verdict everywhere.
    """

    n: int
    agreement: Estimate | None
    kappa: float | None

    @property
    def checked(self) -> bool:
        """Whether there were labels enough; a judge without is to be marked unchecked."""
        return self.n >= FEWEST_LABELS

    @property
    def words(self) -> str:
        """What stands beside every figure of the judge."""
        if not self.checked or self.agreement is None:
            return f"unchecked: {self.n} labels of your own, {FEWEST_LABELS} are needed"
        kappa = "" if self.kappa is None else f", kappa {self.kappa:.2f}"
        low, high = self.agreement.low, self.agreement.high
        return f"agrees with {self.agreement.score:.0%} of your {self.n} labels [{low:.0%}, {high:.0%}]{kappa}"


def check_judge(generate: Generate, labelled: Sequence[LabelledCase], criterion: str = "") -> JudgeCheck:
    """Ask the judge about the pairs that a person has judged, and compare."""
    judgments = judge_pairs(generate, [one.case for one in labelled], criterion)
    return compare_with_labels(judgments, {one.case.id: one.preferred for one in labelled})


def compare_with_labels(
    judgments: Sequence[Judgment], labels: Mapping[str, Choice], confidence: float = 0.95
) -> JudgeCheck:
    """The agreement of judgments with labels, matched by id; verdicts that couldn't be read are left out."""
    both = [
        (judgment.choice, labels[judgment.id])
        for judgment in judgments
        if judgment.choice is not None and judgment.id in labels
    ]
    if not both:
        return JudgeCheck(0, None, None)
    same = [float(judged == labelled) for judged, labelled in both]
    return JudgeCheck(len(both), estimate(same, confidence), cohens_kappa(*zip(*both, strict=True)))


def cohens_kappa(a: Sequence[str], b: Sequence[str]) -> float | None:
    """Agreement beyond chance (Cohen 1960): 1 is perfect, 0 is chance; None where chance alone gives perfection."""
    n = len(a)
    observed = sum(one == other for one, other in zip(a, b, strict=True)) / n
    a_counts, b_counts = Counter(a), Counter(b)
    by_chance = sum(a_counts[label] * b_counts[label] for label in a_counts) / n**2
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


def read_labels(path: Path) -> list[LabelledCase]:
    """The pairs in a file of labels: question, a, b, preferred (a, b or tie); or prompt, chosen, rejected.

    Raises EngineError that names the first rows that are neither.
    """
    rows, problems = read_rows(path)
    faults = [f"line {problem.line}: {problem.reason}" for problem in problems]
    cases = []
    for row in rows:
        case = _labelled(row)
        if case is None:
            faults.append(f"line {row.line}: has the fields {', '.join(row.fields)}")
        else:
            cases.append(case)
    if faults:
        raise EngineError(f"{path} is no file of labels", "\n".join(faults[:5]), f"a row is like {_EXAMPLE}")
    return cases


def _labelled(row: Row) -> LabelledCase | None:
    fields: Mapping[str, Any] = row.fields
    name = f"{Path(row.source).name}:{row.line}"
    if {"question", "a", "b", "preferred"} <= set(fields):
        preferred = _CHOICES.get(str(fields["preferred"]).strip().lower())
        if preferred is None:
            return None
        reference = fields.get("reference")
        case = JudgeCase(name, str(fields["question"]), str(fields["a"]), str(fields["b"]), reference)
        return LabelledCase(case, preferred)
    if {"prompt", "chosen", "rejected"} <= set(fields):
        question, chosen = row_parts({"prompt": fields["prompt"], "completion": fields["chosen"]})
        _, rejected = row_parts({"prompt": fields["prompt"], "completion": fields["rejected"]})
        # Every other pair is turned round, so that a judge that always says "a" agrees with half of them only.
        if row.line % 2:
            return LabelledCase(JudgeCase(name, question, chosen, rejected), "a")
        return LabelledCase(JudgeCase(name, question, rejected, chosen), "b")
    return None
