"""What a number of held-out rows can show at best: where even a perfect score could not clear the target."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Warned
from rung.engine.ladder.examples import EvaluationExample, group_count, load_split, sample
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.spec import MetricSpec
from rung.engine.project.schema import ProjectSettings
from rung.engine.stats.distributions import student_t_quantile, two_sided_z
from rung.engine.stats.intervals import ZERO_TO_ONE


def fewest_rows(target: float) -> int | None:
    """The fewest rows on which answers that are all right show a score of `target`: 16 for 0.8, 73 for 0.95.

    Where n of n are right, Wilson's interval begins at n / (n + z²). None for a target that no number can show.
    """
    if target >= 1:
        return None
    z_squared = two_sided_z(0.95) ** 2
    return max(1, math.ceil(z_squared * target / (1 - target) - 1e-9))


def fewest_groups(target: float) -> int | None:
    """The same in groups of rows: where all answers are alike a group says no more than one row, and t is wider than z.

    That is below what a kind of group that went unseen could change, too (about 4 / n against 3 / n).
    None for a target that no number can show.
    """
    if target >= 1:
        return None
    fewest = max(2, fewest_rows(target) or 2)
    while highest_target(fewest, grouped=True) < target:
        fewest += 1
    return fewest


def highest_target(units: int, grouped: bool = False) -> float:
    """The highest target that a perfect score on so many rows, or groups of rows, clears."""
    reach = student_t_quantile(0.975, max(1, units - 1)) if grouped else two_sided_z(0.95)
    return units / (units + reach**2)


def out_of_reach(metric: MetricSpec, target: float | None, rows: int, groups: int | None = None) -> str | None:
    """Why no rung can be shown to reach the target on these rows, and how many it takes; None where one can."""
    if target is None or metric.bounds != ZERO_TO_ONE or not metric.more_is_better or not 0 <= target <= 1:
        return None
    fewest, units = (fewest_rows(target), rows) if groups is None else (fewest_groups(target), groups)
    if fewest is not None and units >= fewest:
        return None
    there = f"{rows:,} held-out {'row' if rows == 1 else 'rows'}" + (f" in {groups:,} groups" if groups else "")
    if fewest is None:
        return f"no number of held-out rows can show a score of {target:g}: every interval reaches below it"
    more = f"{fewest:,} {'groups' if groups is not None else 'rows'} could"
    return f"{there} can't show a score of {target:g}, even if every answer is right; {more}"


def target_warnings(
    metric: MetricSpec, target: float | None, examples: Sequence[EvaluationExample]
) -> Iterator[Warned]:
    """What to say before a climb: a target in per cent, the usual mistake; rows too few to show that it is reached."""
    if target is not None and metric.bounds is not None and not metric.bounds[0] <= target <= metric.bounds[1]:
        low, high = metric.bounds
        said = f"{metric.name} lies between {low:g} and {high:g}, the target is {target:g}"
        yield Warned("No rung can reach the target", said, "80 per cent are written 0.8")
    if (too_few := out_of_reach(metric, target, len(examples), group_count(examples))) is not None:
        yield Warned("The held-out rows are too few for the target", too_few, "hold out more rows")


def reach_notes(root: Path, project: ProjectSettings) -> list[str]:
    """What a project's held-out rows can't show at best, in one line; none where there are enough, or none at all.

    Without a target, that is the highest target they could show, where it is below 0.95.
    """
    try:
        metric = parse_metrics(project.metrics, root, project.strip_reasoning)[0]
        examples = sample(load_split(root, project, "test").examples, project.budget.test_rows)
    except EngineError:
        return []  # No held-out rows, or none that can be scored: rung check says so.
    rows, groups = len(examples), group_count(examples)
    if (said := out_of_reach(metric, project.target, rows, groups)) is not None:
        return [said]
    highest = highest_target(rows) if groups is None else highest_target(groups, grouped=True)
    if project.target is not None or metric.bounds != ZERO_TO_ONE or not metric.more_is_better or highest >= 0.95:
        return []
    return [
        f"{rows:,} held-out rows can't show a target above {math.floor(highest * 100) / 100:g}, whatever the answers"
    ]
