"""Dividing rows into splits: what belongs together stays together, labels in proportion, the latest rows held out."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rung.engine.core.errors import EngineError
from rung.engine.data.content import Content, content_of_row
from rung.engine.data.row_text import Row
from rung.engine.splits.clusters import clusters_of, column_values
from rung.engine.splits.without_leaks import divided_without_leaks

Count = Annotated[int, Field(ge=0)]
NO_GROUPS = "none"
SPLITS = ("train", "validation", "test", "final")


class SplitPlan(BaseModel):
    """How to divide the rows. Sizes left at null follow from the number of rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, description="which rows go where, among equals")
    group_by: str | None = Field(None, description="column whose equal values stay in one split (document, user)")
    find_groups: bool = Field(
        True, description="where group_by is null, use a column of a usual name (passage, user) or of texts that repeat"
    )
    time_by: str | None = Field(None, description="column to split by time: the latest rows are held out")
    label: str | None = Field(None, description="column with a class label: every split gets its share of each")
    validation_rows: Count | None = Field(None, description="null: a tenth, at least 20 and at most 500")
    test_rows: Count | None = Field(None, description="null: a fifth, at least 30 and at most 1,000")
    final_rows: Count = Field(0, description="rows of a second held-out set, sealed until it is opened once")
    keep_near_duplicates_together: bool = Field(True, description="rows that say nearly the same stay in one split")

    @model_validator(mode="after")
    def _one_order(self) -> "SplitPlan":
        if self.time_by is not None and self.label is not None:
            raise ValueError("time_by and label exclude each other: by time, each split has the labels of its time")
        return self


@dataclass(frozen=True)
class Partition:
    """Row indices of each split, in their order in the source, and what its maker should know."""

    rows: Mapping[str, list[int]]
    notes: list[str]


def partition(
    rows: Sequence[Row], plan: SplitPlan, found: str | None = None, columns: Mapping[str, str] | None = None
) -> Partition:
    """Divide the rows by the plan; the same rows and plan give the same splits.

    `found` is the column to group by where the plan names none; rows that lack it stand alone. `columns` is as in a
    recipe. Raises EngineError where a column is missing, times can't be read, or the groups are too large to divide.
    """
    sizes = split_sizes(len(rows), plan)
    notes: list[str] = []
    contents = [content_of_row(row, columns) for row in rows]
    clusters, near = clusters_of(
        rows, contents, plan.group_by or found, plan.keep_near_duplicates_together, plan.group_by is None
    )
    if near:
        notes.append(f"{near} rows say nearly the same as another one")
    times = _times(rows, plan.time_by) if plan.time_by is not None else None
    labels = _labels(rows, contents, plan, sizes, notes) if times is None else []

    def divide(clusters: Sequence[list[int]]) -> dict[str, list[int]]:
        if times is not None:
            return _by_time(clusters, times, sizes)
        return _stratified(clusters, labels, sizes, plan.seed)

    if plan.keep_near_duplicates_together:
        clusters, chosen, left_out = divided_without_leaks(contents, clusters, divide)
        if left_out:
            notes.append(f"{left_out} rows are in no split: held out, they would be much like training rows")
    else:
        chosen = divide(clusters)
    for name, wanted in sizes.items():
        if wanted and not chosen[name]:
            raise EngineError(
                f"No rows are left for the {name} split",
                f"{len(rows)} rows in {len(clusters)} groups that stay together, the largest of {len(clusters[0])}",
                "give more rows, another group_by column, or each split's own file",
            )
        if wanted and name != "train" and abs(len(chosen[name]) - wanted) > max(2, wanted // 5):
            notes.append(f"{name} has {len(chosen[name])} rows, not {wanted}: groups stay together")
    return Partition({name: sorted(indices) for name, indices in chosen.items()}, notes)


def split_sizes(num_rows: int, plan: SplitPlan) -> dict[str, int]:
    """How many rows each split is to have. Raises EngineError where there are too few."""
    test = min(max(num_rows // 5, 30), num_rows // 3, 1_000) if plan.test_rows is None else plan.test_rows
    validation = (
        min(max(num_rows // 10, 20), num_rows // 6, 500) if plan.validation_rows is None else plan.validation_rows
    )
    held_out = validation + test + plan.final_rows
    if num_rows - held_out < 1 or test < 1:
        raise EngineError(
            f"{num_rows} rows can't be split",
            f"{validation} for validation, {test} for testing, {plan.final_rows} for the sealed final split",
            "give at least 6 rows, or smaller splits",
        )
    return {"train": num_rows - held_out, "validation": validation, "test": test, "final": plan.final_rows}


def _labels(
    rows: Sequence[Row], contents: Sequence[Content], plan: SplitPlan, sizes: Mapping[str, int], notes: list[str]
) -> list[str]:
    """Each row's label: the plan's column, or short answers of which there are few; "" where there are no labels."""
    if plan.label is not None:
        labels = [str(value) for value in column_values(rows, plan.label)]
    else:
        labels = [" ".join(content.answered.split()) for content in contents]
        few = len(set(labels)) <= min(50, len(rows) // 10)
        if not few or max(map(len, labels)) > 40:
            return [""] * len(rows)
        notes.append(f"every split has its share of the {len(set(labels))} different answers")
    counts = Counter(labels)
    # A label too rare to reach every split is left to chance, together with the other rare ones.
    rarest = 2 * len([size for size in sizes.values() if size])
    return [label if counts[label] >= rarest else "" for label in labels]


def _stratified(
    clusters: Sequence[list[int]], labels: Sequence[str], sizes: Mapping[str, int], seed: int
) -> dict[str, list[int]]:
    """Each cluster, in random order, goes where its labels are wanted most; those that might not fit later go first."""
    total = len(labels)
    counts = Counter(labels)
    wanted = {name: {label: counts[label] * size / total for label in counts} for name, size in sizes.items() if size}
    order = list(clusters)
    random.Random(seed).shuffle(order)
    large = max(1, min(size for size in sizes.values() if size) // 10)
    order.sort(key=lambda cluster: len(cluster) if len(cluster) > large else 0, reverse=True)
    chosen: dict[str, list[int]] = {name: [] for name in sizes}
    for cluster in order:
        held = Counter(labels[index] for index in cluster)
        name = max(wanted, key=lambda split: sum(n * wanted[split][label] for label, n in held.items()))
        chosen[name].extend(cluster)
        for label, number in held.items():
            wanted[name][label] -= number
    return chosen


def _by_time(clusters: Sequence[list[int]], times: Sequence[float], sizes: Mapping[str, int]) -> dict[str, list[int]]:
    """The clusters with the latest rows go to the last split, those before to the one before it; the rest trains."""
    order = sorted(clusters, key=lambda cluster: max((times[index], index) for index in cluster))
    chosen: dict[str, list[int]] = {name: [] for name in sizes}
    for name in ("final", "test", "validation"):
        while order and len(chosen[name]) < sizes[name]:
            chosen[name].extend(order.pop())
    for cluster in order:
        chosen["train"].extend(cluster)
    return chosen


def _times(rows: Sequence[Row], column: str) -> list[float]:
    """The column as seconds or whatever unit its numbers have; texts are read as ISO 8601."""
    return [_time(value, number, column) for number, value in enumerate(column_values(rows, column), start=1)]


def _time(value: Any, number: int, column: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise EngineError(
            f"Row {number} has no time in {column}", f"it holds {value!r}", "write numbers, or dates as 2026-11-23"
        ) from None
