"""The bench that all candidates are measured on: variants on validation rows, chosen ones on the held-out rows.

The same evaluation for every rung. Used only inside a worker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.events import Event, Warned
from engine.ladder.answering import Answerer
from engine.ladder.answers import Answer
from engine.ladder.elsewhere import ModelScores
from engine.ladder.entries import Entry, write_entry
from engine.ladder.events import Scored, Tried
from engine.ladder.examples import EvaluationExample, load_split, sample
from engine.ladder.few_shot import FewShotPool, make_pool
from engine.ladder.held_out import held_out_examples
from engine.ladder.judging import check_against_labels
from engine.ladder.scoring import kept_scores, score_answers, text_that_is_scored
from engine.ladder.spec import CandidateSpec
from engine.measure.intervals import Estimate
from engine.measure.metrics.health import ambiguous_references, differs_when_repeated, without_range
from engine.measure.metrics.parse import parse_metrics
from engine.measure.metrics.scoring import ExampleScore
from engine.measure.metrics.spec import MetricSpec
from engine.measure.metrics.summary import aggregate
from engine.measure.splits import count_look
from engine.project.schema import ProjectSettings

LATENCY_EXAMPLES = 5
# Fewer variants than this are tried on all validation rows at once.
_HALVING_FROM = 4
_FIRST_ROUND_ROWS = 24


@dataclass(frozen=True)
class Trial:
    """One variant on validation rows."""

    spec: CandidateSpec
    candidate: str
    estimate: Estimate
    scores: list[ExampleScore]
    answers: dict[str, Answer]


class Bench:
    """A project's splits, metrics and candidates' answers, kept open over many evaluations."""

    def __init__(
        self,
        root: Path,
        project: ProjectSettings,
        report: Callable[[Event], None],
        is_spent: Callable[[], bool] = lambda: False,
    ) -> None:
        self.root, self.project, self.report, self._is_spent = root, project, report, is_spent
        self._asked_twice: set[str] = set()
        self.metrics: list[MetricSpec] = parse_metrics(project.metrics, root, project.strip_reasoning)

    @property
    def metric(self) -> MetricSpec:
        """The metric that decides."""
        return self.metrics[0]

    @cached_property
    def held_out(self) -> list[EvaluationExample]:
        """The held-out examples that are scored."""
        everything = held_out_examples(self.root, self.project, self.report)
        examples = sample(everything, self.project.budget.test_rows)
        rows = [(example.line, example.reference, example.fields) for example in examples]
        for metric in self.metrics:
            for said in (without_range(metric), ambiguous_references(metric, rows)):
                if said is not None:
                    self.report(Warned(f"The metric {metric.name} can't be sure", said))
        return examples

    @cached_property
    def validation(self) -> list[EvaluationExample]:
        """The validation examples that variants are tried on."""
        examples = load_split(self.root, self.project, "validation").examples
        return sample(examples, self.project.budget.validation_rows)

    @cached_property
    def pool(self) -> FewShotPool:
        """The training examples that may stand in prompts; empty without a training split."""
        if self.project.data.train is None:
            return FewShotPool(())
        return make_pool(load_split(self.root, self.project, "train").examples, self.project.data.label)

    @cached_property
    def answerer(self) -> Answerer:
        """Answers, with the models and indexes that stay loaded."""
        return Answerer(self.root, self.project, self.pool, self.report)

    def try_out(self, spec: CandidateSpec, examples: Sequence[EvaluationExample] | None = None) -> Trial:
        """One variant on validation rows (all that are used, or those given)."""
        chosen = self.validation if examples is None else examples
        candidate, answers = self.answerer.answer(spec, chosen)
        scores = self._score(spec, candidate.id, self.metric, chosen, answers)
        estimate = aggregate(self.metric, scores)
        self.report(Tried(spec.rung, spec.label, candidate.id, self.metric.key, estimate.score, estimate.n))
        return Trial(spec, candidate.id, estimate, scores, answers)

    def choose(self, specs: Sequence[CandidateSpec]) -> Trial:
        """The best variant on the validation rows; of equal ones the first.

        Many variants are halved after a first round on fewer rows (successive halving, Jamieson and Talwalkar 2016).
        Where the budget runs out on the way, the best of those tried so far is taken.
        """
        left = list(specs)
        first_round = self.validation[: max(_FIRST_ROUND_ROWS, len(self.validation) // 4)]
        if len(left) >= _HALVING_FROM and len(first_round) < len(self.validation):
            tried = self._try_all(left, first_round)
            left = [trial.spec for trial in tried[: max(2, len(tried) // 2 - 1)]]
        return self._try_all(left, self.validation)[0]

    def score_held_out(self, spec: CandidateSpec, label: str, *, chosen: bool) -> tuple[Entry, Estimate]:
        """Score a candidate on the held-out rows by every metric and put it on the scoreboard."""
        candidate, answers = self.answerer.answer(spec, self.held_out, LATENCY_EXAMPLES)
        count_look(self.root, candidate.id)
        estimates = [
            aggregate(metric, self._score(spec, candidate.id, metric, self.held_out, answers))
            for metric in self.metrics
        ]
        if any(metric.name == "judge" for metric in self.metrics):
            check_against_labels(self.root, self.project, self.answerer.models)
        self._ask_twice(candidate.id, spec, answers)
        found = estimates[0]
        self.report(
            Scored(spec.rung, label, candidate.id, self.metric.key, found.score, found.low, found.high, found.n)
        )
        return write_entry(self.root, candidate.id, spec, label, chosen=chosen), found

    def _ask_twice(self, candidate: str, spec: CandidateSpec, answers: Mapping[str, Answer]) -> None:
        """Say it where a function of the person's own scores an answer otherwise the second time."""
        for metric in self.metrics:
            if metric.function is None or metric.function in self._asked_twice:
                continue
            self._asked_twice.add(metric.function)
            scores = kept_scores(self.root, self.project, candidate, spec, metric, self.held_out, answers) or []
            scored = [
                (text_that_is_scored(spec, answers[one.id]), one.reference, {"id": one.id, **one.fields}, given.score)
                for one, given in zip(self.held_out, scores, strict=False)
            ]
            if (said := differs_when_repeated(metric, scored)) is not None:
                self.report(Warned(f"The metric {metric.name} can't be trusted", said))

    def _score(
        self,
        spec: CandidateSpec,
        candidate: str,
        metric: MetricSpec,
        examples: Sequence[EvaluationExample],
        answers: dict[str, Answer],
    ) -> list[ExampleScore]:
        by_model = ModelScores(self.answerer, self.project, spec, answers, self.report)
        return score_answers(self.root, self.project, candidate, spec, metric, examples, answers, by_model)

    def _try_all(self, specs: Sequence[CandidateSpec], examples: Sequence[EvaluationExample]) -> list[Trial]:
        """The variants tried, best first."""
        trials: list[Trial] = []
        for spec in specs:
            if trials and self._is_spent():
                break
            trials.append(self.try_out(spec, examples))
        sign = -1.0 if self.metric.more_is_better else 1.0
        return sorted(trials, key=lambda trial: sign * trial.estimate.score)
