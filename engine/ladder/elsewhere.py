"""Scores that need a model: a judge's, and the perplexity of the reference. Used only inside a worker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.answering import Answerer
from rung.engine.ladder.answers import Answer
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.judging import judge_answers
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.metrics.spec import MetricSpec
from rung.engine.project.schema import ProjectSettings


class ModelScores:
    """Computes the metrics that the answer alone doesn't decide, for one candidate."""

    def __init__(
        self,
        answerer: Answerer,
        project: ProjectSettings,
        spec: CandidateSpec,
        answers: Mapping[str, Answer],
        report: Callable[[Event], None],
    ) -> None:
        self._answerer, self._project = answerer, project
        self._spec, self._answers, self._report = spec, answers, report

    def __call__(self, metric: MetricSpec, examples: Sequence[EvaluationExample]) -> Iterator[list[dict[str, Any]]]:
        """One line of scores an example, some at a time. Raises EngineError for a metric that it can't compute."""
        if metric.name == "reference_perplexity":
            losses = self._answerer.reference_losses(self._spec, examples)
            yield [{"example": example.id, "score": losses[example.id]} for example in examples]
        elif metric.name == "judge":
            done = 0
            self._report(Phase("evaluate", done, len(examples), "judgments"))
            for lines in judge_answers(self._project, self._answerer.models, examples, self._answers):
                yield lines
                done += len(lines)
                self._report(Phase("evaluate", done, len(examples), "judgments"))
        else:
            raise EngineError(f"{metric.name} can't be computed here", metric.kind.help)
