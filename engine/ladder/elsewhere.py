"""Scores that need a model: a judge's, and the perplexity of the reference. Used only inside a worker."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import EngineError
from engine.ladder.answering import Answerer
from engine.ladder.answers import Answer
from engine.ladder.examples import EvaluationExample
from engine.ladder.judging import judge_answers
from engine.ladder.spec import CandidateSpec
from engine.measure.metrics.spec import MetricSpec
from engine.project.schema import ProjectSettings


class ModelScores:
    """Computes the metrics that the answer alone doesn't decide, for one candidate."""

    def __init__(
        self,
        answerer: Answerer,
        project: ProjectSettings,
        spec: CandidateSpec,
        answers: Mapping[str, Answer],
    ) -> None:
        self._answerer, self._project = answerer, project
        self._spec, self._answers = spec, answers

    def __call__(self, metric: MetricSpec, examples: Sequence[EvaluationExample]) -> list[dict[str, Any]]:
        """One line of scores an example. Raises EngineError for a metric that can't be computed here."""
        if metric.name == "reference_perplexity":
            losses = self._answerer.reference_losses(self._spec, examples)
            return [{"example": example.id, "score": losses[example.id]} for example in examples]
        if metric.name == "judge":
            return judge_answers(self._project, self._answerer.models, examples, self._answers)
        raise EngineError(f"{metric.name} can't be computed here", metric.kind.help)
