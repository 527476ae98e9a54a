"""The score of one answer by one metric."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json
from rung.engine.metrics import labels, numbers, overlap, own_function, structured, words
from rung.engine.metrics.reasoning import strip_reasoning
from rung.engine.metrics.spec import MetricSpec


@dataclass(frozen=True)
class ExampleScore:
    """One line of scores/ID.jsonl. `score` is None where the metric can't be applied; `predicted` and `expected` are
    the labels of a classification. For reference_perplexity the score is nats per token of the reference."""

    example: str
    metric: str
    score: float | None
    predicted: str | None = None
    expected: str | None = None
    group: str | None = None


def score_answer(
    spec: MetricSpec, answer: str, reference: str | Sequence[str], example: Mapping[str, Any] | None = None
) -> float | None:
    """The score of an answer, its reasoning taken out first; of several right references, the best score counts.

    `example` is the row the answer belongs to. None where the metric can't be applied: a reference without a number
    for `numeric`, say. Raises EngineError where a function of the user's own fails.
    """
    row = example or {}
    text = strip_reasoning(answer, spec.reasoning_tags)
    scores = [_score(spec, text, each, row) for each in accepted_references(spec, reference, row)]
    known = [score for score in scores if score is not None]
    if not known:
        return None
    return max(known) if spec.more_is_better else min(known)


def score_example(
    spec: MetricSpec,
    example_id: str,
    answer: str,
    reference: str | Sequence[str],
    example: Mapping[str, Any] | None = None,
) -> ExampleScore:
    """The line of scores for one answer: `score_answer`, with the labels where the metric needs them to sum up."""
    row = example or {}
    score = score_answer(spec, answer, reference, {"id": example_id, **row})
    if spec.name not in ("label_accuracy", "macro_f1") or score is None:
        return ExampleScore(example_id, spec.key, score)
    accepted = [labels.plain_label(each) for each in accepted_references(spec, reference, row)]
    predicted = labels.named_label(strip_reasoning(answer, spec.reasoning_tags), spec.labels)
    expected = predicted if predicted in accepted else accepted[0]
    return ExampleScore(example_id, spec.key, score, predicted, expected)


def accepted_references(spec: MetricSpec, reference: str | Sequence[str], row: Mapping[str, Any]) -> list[str]:
    """All answers that count as right: those of the row's column that the metric names, else the reference."""
    if spec.references is not None:
        if spec.references not in row:
            raise EngineError(
                f"The metric {spec.name} finds no right answers",
                f"references: {spec.references} is not a column of example {row.get('id', '')}".rstrip(),
                "it has: " + ", ".join(map(str, row)),
            )
        reference = row[spec.references]
    if isinstance(reference, str) or not isinstance(reference, Sequence):
        return [_as_text(reference)]
    return [_as_text(each) for each in reference]


def check_metric(spec: MetricSpec) -> None:
    """Raises EngineError if what the metric names is not there or not fit: its pattern, its schema, its function."""
    if spec.pattern is not None:
        try:
            re.compile(spec.pattern)
        except re.error as error:
            raise EngineError("The metric regex has a pattern that can't be read", f"{spec.pattern}: {error}") from None
    if spec.schema_ is not None:
        _validator_of(spec)
    if spec.function is not None:
        _function_of(spec)


def _score(spec: MetricSpec, answer: str, reference: str, row: Mapping[str, Any]) -> float | None:
    if spec.kind.computed_elsewhere:
        raise EngineError(f"{spec.name} is not computed from the answer alone", hint="it needs a model: rung eval")
    return _SCORERS[spec.name](spec, answer, reference, row)


def _own(spec: MetricSpec, answer: str, reference: str, row: Mapping[str, Any]) -> float:
    return own_function.call_function(
        _function_of(spec), str(spec.function), answer, reference, row, str(row.get("id", "without an id"))
    )


def _fits_schema(spec: MetricSpec, answer: str) -> float:
    from referencing.exceptions import Unresolvable

    try:
        return structured.json_schema(answer, _validator_of(spec), spec.code_fence)
    except Unresolvable as error:
        raise EngineError(
            "The metric json_schema has a schema that refers to another one", str(error), "put everything in one file"
        ) from None


def _function_of(spec: MetricSpec) -> Callable[..., Any]:
    path, _, name = str(spec.function).rpartition(":")
    if not path or not name:
        raise EngineError(
            f"The metric's function {spec.function} can't be found", hint="write it as path/to/file.py:function"
        )
    return own_function.load_function(spec.resolve(path), name)


def _validator_of(spec: MetricSpec) -> Any:
    schema = read_json(spec.resolve(spec.schema_)) if isinstance(spec.schema_, str) else spec.schema_
    return _validator(canonical_json(schema))


@lru_cache(maxsize=16)
def _validator(schema_text: str) -> Any:
    from jsonschema import SchemaError, validators
    from referencing import Registry

    schema = json.loads(schema_text)
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise EngineError("The metric json_schema has a schema that is none", error.message) from None
    # An empty registry: a $ref to an address is an error, never a download.
    return kind(schema, registry=Registry())


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SCORERS: dict[str, Callable[[MetricSpec, str, str, Mapping[str, Any]], float | None]] = {
    "exact_match": lambda spec, answer, reference, row: words.exact_match(answer, reference, spec.casefold),
    "normalized_match": lambda spec, answer, reference, row: words.normalized_match(answer, reference),
    "contains": lambda spec, answer, reference, row: words.contains(answer, reference, spec.casefold),
    "regex": lambda spec, answer, reference, row: words.regex(answer, reference, str(spec.pattern), spec.casefold),
    "token_f1": lambda spec, answer, reference, row: words.token_f1(answer, reference),
    "rouge_l": lambda spec, answer, reference, row: overlap.rouge_l(answer, reference),
    "bleu": lambda spec, answer, reference, row: overlap.bleu(answer, reference),
    "chrf": lambda spec, answer, reference, row: overlap.chrf(answer, reference),
    "numeric": lambda spec, answer, reference, row: numbers.numeric(answer, reference, spec.tolerance, spec.decimals),
    "json_valid": lambda spec, answer, reference, row: structured.json_valid(answer, spec.code_fence),
    "json_schema": lambda spec, answer, reference, row: _fits_schema(spec, answer),
    "json_fields": lambda spec, answer, reference, row: structured.json_fields(
        answer, reference, spec.fields, spec.casefold, spec.code_fence
    ),
    "label_accuracy": lambda spec, answer, reference, row: _label_is_right(spec, answer, reference),
    "macro_f1": lambda spec, answer, reference, row: _label_is_right(spec, answer, reference),
    "function": _own,
}


def _label_is_right(spec: MetricSpec, answer: str, reference: str) -> float:
    return float(labels.named_label(answer, spec.labels) == labels.plain_label(reference))
