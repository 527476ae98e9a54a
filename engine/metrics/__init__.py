"""Metrics: how a person names one, the score of one answer, and the score of a candidate over all its answers."""

from rung.engine.metrics.kinds import METRICS
from rung.engine.metrics.parse import parse_metric, parse_metrics
from rung.engine.metrics.scoring import ExampleScore, score_answer, score_example
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import aggregate, compare_scores

__all__ = [
    "METRICS",
    "ExampleScore",
    "MetricSpec",
    "aggregate",
    "compare_scores",
    "parse_metric",
    "parse_metrics",
    "score_answer",
    "score_example",
]
