"""Whether a target can be a score of the metric that it is set for."""

from rung.engine.core.errors import EngineError
from rung.engine.metrics.spec import MetricSpec


def check_target(metric: MetricSpec, target: float | None) -> None:
    """Raise EngineError for a target that no answers could score, whatever they are."""
    if target is None or metric.bounds is None:
        return
    low, high = metric.bounds
    if not low <= target <= high:
        share = f"; {target:g} % is {target / 100:g}" if (low, high) == (0, 1) and 1 < target <= 100 else ""
        raise EngineError(
            f"The target {target:g} is no score of {metric.name}",
            f"its scores are from {low:g} to {high:g}",
            f"give one of these{share}",
        )
