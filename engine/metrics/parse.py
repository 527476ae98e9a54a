"""Metrics from what a person wrote in rung.yaml."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import count_of, describe_faults
from rung.engine.metrics.kinds import METRICS
from rung.engine.metrics.scoring import check_metric
from rung.engine.metrics.spec import MetricSpec


def parse_metrics(values: list[Any], root: Path, strip_reasoning: bool = True) -> list[MetricSpec]:
    """The metrics of rung.yaml, in order. Raises EngineError with every fault, and for one that stands there twice."""
    specs, faults = [], []
    for value in values:
        try:
            specs.append(parse_metric(value, root, strip_reasoning))
        except EngineError as error:
            faults.append(f"{error.message}: {error.details}" if error.details else error.message)
    keys = [spec.key for spec in specs]
    faults += [f"{specs[at].name} stands there twice" for at, key in enumerate(keys) if key in keys[:at]]
    if faults:
        raise EngineError(f"{count_of(faults)} in metrics", "\n".join(faults), f"there are: {', '.join(METRICS)}")
    return specs


def parse_metric(value: Any, root: Path = Path("."), strip_reasoning: bool = True) -> MetricSpec:
    """A metric from what a person wrote: `exact_match`, `my.py:score`, or {name: regex, pattern: …}.

    Raises EngineError that says what is wrong, with the nearest known names. What a metric needs (a pattern that
    compiles, a file that has the function, a schema that is one) is checked here, before anything is scored.
    """
    if isinstance(value, MetricSpec):
        return value
    fields = _fields_of(value)
    if not strip_reasoning:
        fields = {"reasoning_tags": []} | fields
    try:
        spec = MetricSpec.model_validate(fields)
    except ValidationError as error:
        name = fields.get("name", value)
        raise EngineError(
            f"The metric {name} can't be used", "\n".join(describe_faults(error, MetricSpec, {}))
        ) from None
    check_metric(spec.in_folder(root))
    return spec


def _fields_of(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": "function", "function": value} if ".py:" in value else {"name": value}
    if isinstance(value, dict):
        return dict(value)
    raise EngineError(
        f"A metric can't be written as {value!r}",
        hint="write its name, or {name: regex, pattern: …}; " + ", ".join(METRICS),
    )
