"""Two candidates' answers to the held-out examples side by side: where one is right and the other wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.ladder.answers import Answer, AnswerStore, ScoreStore
from rung.engine.ladder.entries import Entry, find_entry
from rung.engine.ladder.examples import EvaluationExample, load_split
from rung.engine.ladder.scoring import score_key
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.spec import MetricSpec
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectSettings

RIGHT = 0.5
"""A graded score from here on counts as a right answer; scores that are right or wrong are 1 or 0."""

Group = Literal["a_only", "b_only", "both_wrong", "both_right"]
GROUPS: tuple[Group, ...] = ("a_only", "b_only", "both_wrong", "both_right")


@dataclass(frozen=True)
class Side:
    """One candidate's answer to one example, and its score by the deciding metric."""

    answer: Answer
    score: float | None
    right: bool


@dataclass(frozen=True)
class Contrast:
    """One example with both answers."""

    example: EvaluationExample
    a: Side
    b: Side

    @property
    def group(self) -> Group:
        """Who is right."""
        if self.a.right:
            return "both_right" if self.b.right else "a_only"
        return "b_only" if self.b.right else "both_wrong"


def contrast(root: Path, board: Mapping[str, Any], a: str, b: str) -> dict[Group, list[Contrast]]:
    """The scored examples by who is right, in the file's order; `a` and `b` are ids of candidates of `board`.

    An answer is right from a score of 0.5 on; by a metric of which less is better, the better of the two is right.
    Raises EngineError where the held-out rows can't be read, or the metric is no longer the scoreboard's.
    """
    project = load_project(root)
    metric = _metric(root, project, str(board["metric"]))
    answers = [AnswerStore(root, name).answers for name in (a, b)]
    scores = [_scores(root, project, metric, find_entry(root, name)) for name in (a, b)]
    found: dict[Group, list[Contrast]] = {group: [] for group in GROUPS}
    for example in load_split(root, project, "test").examples:
        if any(example.id not in given for given in answers):
            continue
        of_a, of_b = (scored(example.id) for scored in scores)
        right = _right(metric, of_a, of_b)
        item = Contrast(
            example, Side(answers[0][example.id], of_a, right[0]), Side(answers[1][example.id], of_b, right[1])
        )
        found[item.group].append(item)
    return found


def _metric(root: Path, project: ProjectSettings, key: str) -> MetricSpec:
    metrics = parse_metrics(project.metrics, root, project.strip_reasoning)
    for metric in metrics:
        if metric.key == key:
            return metric
    now = ", ".join(metric.key for metric in metrics)
    raise EngineError(
        f"The scoreboard was made by {key}", f"rung.yaml's metric is {now} now", "measure the rungs again (w, wizard)"
    )


def _scores(root: Path, project: ProjectSettings, metric: MetricSpec, entry: Entry) -> Callable[[str], float | None]:
    """The score of each example by its id; None for one that has none."""
    store, key = ScoreStore(root, entry.candidate), score_key(project, metric, entry.spec)
    return lambda example: (store.get(example, key) or {}).get("score")


def _right(metric: MetricSpec, a: float | None, b: float | None) -> tuple[bool, bool]:
    if not metric.more_is_better:
        # No value is right by itself.
        return (a is not None and (b is None or a < b), b is not None and (a is None or b < a))
    return a is not None and a >= RIGHT, b is not None and b >= RIGHT
