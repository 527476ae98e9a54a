"""The bench that all candidates are measured on: variants on validation rows, chosen ones on the held-out rows.

The same evaluation for every rung. Used only inside a worker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

from rung.engine.jobs.events import Event, Warned
from rung.engine.jobs.ladder_events import Scored, Tried
from rung.engine.ladder.answering import Answerer
from rung.engine.ladder.answers import Answer
from rung.engine.ladder.budget import Cost
from rung.engine.ladder.elsewhere import ModelScores
from rung.engine.ladder.entries import Entry, write_entry
from rung.engine.ladder.examples import EvaluationExample, load_split, sample
from rung.engine.ladder.few_shot import FewShotPool, make_pool
from rung.engine.ladder.held_out import held_out_examples
from rung.engine.ladder.judging import check_against_labels
from rung.engine.ladder.rung_meter import RungMeter
from rung.engine.ladder.scoring import kept_scores, score_answers, text_that_is_scored
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.metrics.health import ambiguous_references, differs_when_repeated, without_range
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import aggregate
from rung.engine.project.schema import ProjectSettings
from rung.engine.splits.make import count_look
from rung.engine.stats.intervals import Estimate

LATENCY_EXAMPLES = 5
# Variants are tried on so many validation rows first, and on twice as many in each further round.
FIRST_ROWS = 24
_CUT_SHORT = "the rung's share of the budget was spent before all variants were tried on all rows"
# As many variants as this are halved after a round; fewer go on to all validation rows.
_HALVING_FROM = 4


@dataclass(frozen=True)
class Trial:
    """One variant on validation rows. `note` says why it was chosen before all variants had been tried on all rows."""

    spec: CandidateSpec
    candidate: str
    estimate: Estimate
    scores: list[ExampleScore]
    answers: dict[str, Answer]
    note: str = ""


class Bench:
    """A project's splits, metrics and candidates' answers, kept open over many evaluations."""

    def __init__(
        self,
        root: Path,
        project: ProjectSettings,
        report: Callable[[Event], None],
        is_spent: Callable[[Cost], bool] = lambda reserve: False,
        meter: RungMeter | None = None,
    ) -> None:
        """`is_spent` says whether no further variant is to be tried, so that the reserve is left to spend; `meter`
        is told how many answers are asked for and expected."""
        self.meter = meter or RungMeter()
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

    def try_out(
        self, spec: CandidateSpec, examples: Sequence[EvaluationExample] | None = None, asked: int = 0
    ) -> Trial:
        """One variant on validation rows (all that are used, or those given); `asked` of them in an earlier round."""
        chosen = self.validation if examples is None else examples
        with self.meter.evaluation(len(chosen) - asked):
            candidate, answers = self.answerer.answer(spec, chosen)
        scores = self._score(spec, candidate.id, self.metric, chosen, answers)
        estimate = aggregate(self.metric, scores)
        self.report(Tried(spec.rung, spec.label, candidate.id, self.metric.key, estimate.score, estimate.n))
        return Trial(spec, candidate.id, estimate, scores, answers)

    def choose(self, specs: Sequence[CandidateSpec], answers_after: int = 0) -> Trial:
        """The best variant on the validation rows; of equal ones the first.

        Many variants are halved from round to round, each on twice as many rows (successive halving, Jamieson and
        Talwalkar 2016); the last ones are compared on all validation rows. Where all are at the metric's worst after
        the first rows, or the rung's share of the budget is spent, the best of those tried so far is taken. What is
        chosen is scored on the held-out rows afterwards, so none of this touches the score that counts.
        `answers_after`: how many more the rung needs after this choice, without those on the held-out rows.
        """
        left, rows, asked = list(specs), FIRST_ROWS, 0
        while len(left) > 1 and rows < len(self.validation):
            self.meter.expect(self.answers_of(len(left), rows, asked) + answers_after + len(self.held_out))
            tried = self._try_all(left, self.validation[:rows], asked)
            if len(tried) < len(left) or self.share_is_spent(tried):
                return self._first_of_best(specs, tried, _CUT_SHORT)
            if all(self._is_at_worst(trial) for trial in tried):
                note = f"all {len(tried)} are at {tried[0].estimate.score:g} after {rows} validation rows"
                return self._first_of_best(specs, tried, note)
            left = [trial.spec for trial in tried][: _kept(len(tried))]
            asked = rows
            if len(left) < _HALVING_FROM:
                break
            rows *= 2
        self.meter.expect(len(left) * (len(self.validation) - asked) + answers_after + len(self.held_out))
        tried = self._try_all(left, self.validation, asked)
        return self._first_of_best(specs, tried, _CUT_SHORT if len(tried) < len(left) else "")

    def answers_of(self, variants: int, rows: int = FIRST_ROWS, asked: int = 0) -> int:
        """How many answers a choice among so many variants takes at most, `asked` for each of them already."""
        answers = 0
        while variants > 1 and rows < len(self.validation):
            answers += variants * (rows - asked)
            variants, asked, rows = _kept(variants), rows, rows * 2
            if variants < _HALVING_FROM:
                break
        return answers + variants * (len(self.validation) - asked)

    def share_is_spent(self, trials: Sequence[Trial] = ()) -> bool:
        """Whether no further variant may be tried, if one like these is still to be measured on the held-out rows."""
        return self._is_spent(self._cost_of_measuring(trials))

    def score_held_out(self, spec: CandidateSpec, label: str, *, chosen: bool) -> tuple[Entry, Estimate]:
        """Score a candidate on the held-out rows by every metric and put it on the scoreboard."""
        with self.meter.evaluation(len(self.held_out)):
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

    def _try_all(
        self, specs: Sequence[CandidateSpec], examples: Sequence[EvaluationExample], asked: int
    ) -> list[Trial]:
        """The variants tried, best first; at least one, and fewer than asked for where the share is spent before."""
        trials: list[Trial] = []
        for spec in specs:
            if trials and self.share_is_spent(trials):
                break
            trials.append(self.try_out(spec, examples, asked))
        sign = -1.0 if self.metric.more_is_better else 1.0
        return sorted(trials, key=lambda trial: sign * trial.estimate.score)

    def _first_of_best(self, specs: Sequence[CandidateSpec], tried: Sequence[Trial], note: str) -> Trial:
        """Of those that score as the best does, the one that comes first among the variants, with the note."""
        equal = [trial for trial in tried if trial.estimate.score == tried[0].estimate.score]
        return replace(min(equal, key=lambda trial: specs.index(trial.spec)), note=note)

    def _cost_of_measuring(self, trials: Sequence[Trial]) -> Cost:
        """What scoring the dearest of the trials on the held-out rows takes, going by its answers so far."""
        answers = [list(trial.answers.values()) for trial in trials if trial.answers]
        seconds = max((fmean(one.seconds for one in each) for each in answers), default=0.0)
        tokens = max(
            (fmean((one.tokens_in or 0) + (one.tokens_out or 0) for one in each) for each in answers), default=0.0
        )
        return Cost(seconds * len(self.held_out), tokens * len(self.held_out))

    def _is_at_worst(self, trial: Trial) -> bool:
        """Whether every answer scores the worst that the metric can give."""
        known = [one.score for one in trial.scores if one.score is not None]
        return bool(known) and all(score == self.metric.worst for score in known)


def _kept(variants: int) -> int:
    """How many variants go on to the next round."""
    return max(2, variants // 2) if variants >= _HALVING_FROM else variants
