"""Whether a metric tells anything: what it can't be sure of in the references, and where it sees no difference."""

from collections.abc import Mapping, Sequence

from rung.engine.core.errors import EngineError
from rung.engine.metrics.numbers import last_quantity
from rung.engine.metrics.scoring import ExampleScore, accepted_references, score_answer
from rung.engine.metrics.spec import MetricSpec

MOST_TOLD = 5
RUN_TWICE = 8
"""So many examples are scored a second time by a function of the person's own."""


def without_range(spec: MetricSpec) -> str | None:
    """What is off for a function that doesn't say where its scores lie; None for every other metric."""
    if spec.name != "function" or spec.range is not None:
        return None
    return (
        f"{spec.function} has no range: intervals of few answers come out too narrow, and an impossible target is not "
        f"noticed; write {{name: function, function: {spec.function}, range: [0, 1]}} with its lowest and highest score"
    )


def ambiguous_references(spec: MetricSpec, rows: Sequence[tuple[int, str, Mapping[str, object]]]) -> str | None:
    """The references that name a number in a way that can be read twice, by line; None where there are none.

    `rows` are line, reference and the row's fields.
    """
    if spec.name != "numeric":
        return None
    found = []
    for line, reference, fields in rows:
        try:
            texts = accepted_references(spec, reference, dict(fields))
        except EngineError:
            continue  # The scoring itself says what is missing.
        for text in texts:
            quantity = last_quantity(text, spec.decimals)
            if quantity is not None and quantity.ambiguous:
                found.append(f"line {line}: {' '.join(text.split())[-40:]}")
                break
    if not found:
        return None
    more = f" and {len(found) - MOST_TOLD:,} more" if len(found) > MOST_TOLD else ""
    return (
        f"{len(found):,} of {len(rows):,} references can be read as two numbers "
        f"({'; '.join(found[:MOST_TOLD])}{more}): these rows are not scored. "
        "Say which is meant: {name: numeric, decimals: point}, or comma"
    )


def alike(
    spec: MetricSpec, scores: Mapping[str, Sequence[ExampleScore]], answers: Mapping[str, Sequence[str]]
) -> str | None:
    """That the metric gives all candidates the same scores although they answer differently; else None."""
    if len(scores) < 2:
        return None
    columns = {tuple(one.score for one in found) for found in scores.values()}
    texts = {tuple(found) for found in answers.values()}
    if len(columns) > 1 or len(texts) < 2:
        return None
    values = {score for column in columns for score in column}
    each = f"{values.pop():g} for every answer" if len(values) == 1 and None not in values else "example by example"
    return f"{spec.name} scores all {len(scores)} candidates alike ({each}) although their answers differ: does it fit?"


def differs_when_repeated(
    spec: MetricSpec, scored: Sequence[tuple[str, str, Mapping[str, object], float | None]]
) -> str | None:
    """That a function of the person's own scores an answer otherwise when it is asked again; else None.

    `scored` are answer, reference, the row's fields and the score that was given.
    """
    if spec.function is None:
        return None
    for answer, reference, fields, score in scored[:RUN_TWICE]:
        again = score_answer(spec, answer, reference, dict(fields))
        if again != score:
            return (
                f"{spec.function} gave {score} and then {again} for the same answer: scores that differ from one time "
                "to the next compare nothing; fix its seed, or keep what it asks for"
            )
    return None
