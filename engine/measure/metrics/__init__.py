"""Metrics: how a person names one, the score of one answer, and the score of a candidate over all its answers."""

from engine.measure.metrics.kinds import METRICS
from engine.measure.metrics.parse import parse_metric, parse_metrics
from engine.measure.metrics.scoring import ExampleScore, score_answer, score_example
from engine.measure.metrics.spec import MetricSpec
from engine.measure.metrics.summary import aggregate, compare_scores

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
