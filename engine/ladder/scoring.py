"""Scores of a candidate's answers, from disk where they are there."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from rung.engine.core.files import sha256_text
from rung.engine.ladder.answers import Answer, ScoreStore
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.judging import judge_key
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.metrics.scoring import ExampleScore, score_example
from rung.engine.metrics.spec import MetricSpec
from rung.engine.project.schema import ProjectSettings
from rung.engine.retrieval.prompting import CITATION

Elsewhere = Callable[[MetricSpec, Sequence[EvaluationExample]], Iterable[list[dict[str, Any]]]]
"""Lines of scores that need a model, some at a time: of a metric that is `computed_elsewhere`, for the examples that
have none yet."""


def score_answers(
    root: Path,
    project: ProjectSettings,
    candidate: str,
    spec: CandidateSpec,
    metric: MetricSpec,
    examples: Sequence[EvaluationExample],
    answers: Mapping[str, Answer],
    elsewhere: Elsewhere,
) -> list[ExampleScore]:
    """One score an example, in the examples' order; what is not on disk yet is computed and written.

    A score is kept for as long as the answer and the row that it was computed from are the same.
    """
    store = ScoreStore(root, candidate)
    strips = _strips(spec)
    key = score_key(project, metric, spec)
    stamps = {example.id: _stamp(example, answers[example.id]) for example in examples}
    missing = [example for example in examples if not _is_kept(store.get(example.id, key), stamps[example.id])]
    if missing:
        needs_model = [one for one in missing if _needs_model(metric, answers[one.id])]
        here = [one for one in missing if not _needs_model(metric, answers[one.id])]
        scored: Iterable[list[dict[str, Any]]] = elsewhere(metric, needs_model) if needs_model else []
        for lines in chain([[asdict(_score(metric, one, answers[one.id], strips)) for one in here]], scored):
            # On disk as they come: a judge's verdicts are slow, and may cost money.
            store.add([line | {"metric": key, "of": stamps[line["example"]]} for line in lines])
    return [_from_line(store.get(example.id, key) or {}, example) for example in examples]


def kept_scores(
    root: Path,
    project: ProjectSettings,
    candidate: str,
    spec: CandidateSpec,
    metric: MetricSpec,
    examples: Sequence[EvaluationExample],
    answers: Mapping[str, Answer],
) -> list[ExampleScore] | None:
    """The scores on disk, or None where an example has none, or one of another answer or row.

    A metric that compares texts is computed from the answers where its scores are not kept (another version of it has
    scored them); a model or a function of the user's own is not asked here.
    """
    store, key = ScoreStore(root, candidate), score_key(project, metric, spec)
    compares_texts = not metric.kind.computed_elsewhere and metric.function is None
    found = []
    for example in examples:
        if example.id not in answers:
            return None
        answer, line = answers[example.id], store.get(example.id, key)
        if _is_kept(line, _stamp(example, answer)):
            found.append(_from_line(line or {}, example))
        elif compares_texts:
            found.append(replace(_score(metric, example, answer, _strips(spec)), group=example.group))
        else:
            return None
    return found


def score_key(project: ProjectSettings, metric: MetricSpec, spec: CandidateSpec) -> str:
    """What the scores are kept under: the metric with its options, and whatever else decides them."""
    judge = f"+{judge_key(project)}" if metric.name == "judge" else ""
    version = f"+v{metric.kind.version}" if metric.kind.version > 1 else ""
    return metric.key + version + ("+plain" if _strips(spec) else "") + judge


def without_citations(answer: str, num_passages: int) -> str:
    """The answer without [1], [2, 3] and the like that name one of its passages, and without the spaces before them."""

    def replace(match: re.Match[str]) -> str:
        named = [int(number) for number in re.findall(r"\d+", match[0])]
        return "" if all(1 <= number <= num_passages for number in named) else match[0]

    return re.sub(rf"\s*{CITATION.pattern}", replace, answer).strip()


def _strips(spec: CandidateSpec) -> bool:
    return spec.retrieval is not None and spec.rag_prompt.strip_citations


def _score(metric: MetricSpec, example: EvaluationExample, answer: Answer, strips: bool) -> ExampleScore:
    if not answer.refused:
        text = _text(answer, strips)
        return score_example(metric, example.id, text, example.reference, example.fields)
    # A refused one is as wrong as the metric can be; where that is not known, it scores as an empty answer does.
    if metric.worst is not None and (metric.kind.computed_elsewhere or metric.function is not None):
        return ExampleScore(example.id, metric.key, metric.worst)
    found = score_example(metric, example.id, "", example.reference, example.fields)
    return found if found.score is None or metric.worst is None else replace(found, score=metric.worst)


def _needs_model(metric: MetricSpec, answer: Answer) -> bool:
    return metric.kind.computed_elsewhere and not answer.refused


def text_that_is_scored(spec: CandidateSpec, answer: Answer) -> str:
    """The answer as metrics see it: without its citations where the candidate's are taken out."""
    return _text(answer, _strips(spec))


def _text(answer: Answer, strips: bool) -> str:
    return without_citations(answer.answer, len(answer.chunks)) if strips else answer.answer


def _stamp(example: EvaluationExample, answer: Answer) -> str:
    fields = json.dumps(dict(example.fields), sort_keys=True, default=str)
    refused = "\0refused" if answer.refused else ""
    return sha256_text(f"{answer.answer}\0{fields}{refused}")[:12]


def _is_kept(line: Mapping[str, Any] | None, stamp: str) -> bool:
    return line is not None and line.get("of") == stamp


def _from_line(line: Mapping[str, Any], example: EvaluationExample) -> ExampleScore:
    labels = line.get("predicted"), line.get("expected")
    return ExampleScore(line["example"], line["metric"], line["score"], *labels, example.group)
