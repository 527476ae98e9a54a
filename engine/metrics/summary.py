"""The score of a candidate over all its answers, and the difference of two candidates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rung.engine.core.errors import EngineError
from rung.engine.metrics.macro_f1 import compare_macro_f1, macro_f1
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.spec import MetricSpec
from rung.engine.stats.intervals import Estimate, estimate
from rung.engine.stats.paired import Difference, compare


def aggregate(spec: MetricSpec, scores: Sequence[ExampleScore], confidence: float = 0.95, seed: int = 0) -> Estimate:
    """A candidate's score with its interval; examples to which the metric can't be applied (score None) are left out.

    The mean for most metrics; for macro_f1 the mean of the labels' F1; for reference_perplexity exp of the mean of
    nats per token. Raises EngineError where no example has a score.
    """
    kept = _with_scores(spec, scores)
    groups = _groups(kept)
    if spec.name == "macro_f1":
        labels = [str(one.predicted) for one in kept], [str(one.expected) for one in kept]
        return macro_f1(*labels, confidence, seed, groups)
    found = estimate([float(one.score or 0.0) for one in kept], confidence, seed, spec.bounds, groups)
    if spec.name == "reference_perplexity":
        claim = None if found.claim is None else (math.exp(found.claim[0]), math.exp(found.claim[1]))
        low, high = math.exp(found.low), math.exp(found.high)
        return replace(found, score=math.exp(found.score), low=low, high=high, claim=claim)
    return found


def compare_scores(
    spec: MetricSpec, a: Sequence[ExampleScore], b: Sequence[ExampleScore], confidence: float = 0.95, seed: int = 0
) -> Difference:
    """The difference a - b of two candidates over the examples that both have a score for, matched by id.

    For reference_perplexity the difference is in nats per token. Raises EngineError where they share no example.
    """
    a_by_id, b_by_id = _by_id(_with_scores(spec, a)), _by_id(_with_scores(spec, b))
    common = [example for example in a_by_id if example in b_by_id]
    if not common:
        raise EngineError("two candidates share no scored example", hint="score both on the same split")
    a_kept, b_kept = [a_by_id[example] for example in common], [b_by_id[example] for example in common]
    if spec.name == "macro_f1":
        a_labels, b_labels = ([str(one.predicted) for one in side] for side in (a_kept, b_kept))
        expected = [str(one.expected) for one in a_kept]
        return compare_macro_f1(a_labels, b_labels, expected, confidence, seed, _groups(a_kept))
    a_values, b_values = ([float(one.score or 0.0) for one in side] for side in (a_kept, b_kept))
    return compare(a_values, b_values, confidence, seed, spec.bounds, _groups(a_kept))


def _with_scores(spec: MetricSpec, scores: Sequence[ExampleScore]) -> list[ExampleScore]:
    kept = [one for one in scores if one.score is not None]
    if not kept:
        raise EngineError(
            f"{spec.name} can be applied to none of the {len(scores)} answers",
            spec.kind.help,
            "check that the references have what the metric looks for",
        )
    return kept


def _groups(scores: Sequence[ExampleScore]) -> list[str] | None:
    """Each example's group; None where there are none. An example without one stands alone."""
    if all(one.group is None for one in scores):
        return None
    return [one.example if one.group is None else one.group for one in scores]


def _by_id(scores: Sequence[ExampleScore]) -> Mapping[str, ExampleScore]:
    return {one.example: one for one in scores}
