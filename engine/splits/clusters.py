"""Rows that must not be parted by a split: groups, duplicates, near duplicates."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.content import Content
from rung.engine.data.row_text import Row
from rung.engine.splits.alike import near_pairs
from rung.engine.splits.grouping import group_key
from rung.engine.splits.leaks import plain_content, plain_question, question_limit
from rung.engine.splits.shared_openings import opening_limit, openings


def clusters_of(
    rows: Sequence[Row],
    contents: Sequence[Content],
    group_by: str | None,
    near_too: bool = True,
    some_lack_it: bool = False,
) -> tuple[list[list[int]], int]:
    """Row indices that stay together, the largest cluster first; and how many rows have a near duplicate.

    Together stay rows of one group, of one conversation, with the same words, with the same question (unless many rows
    ask it), and near duplicates where `near_too`. A row without a value in `group_by` is an error (EngineError), or a
    group of its own where `some_lack_it`.
    """
    union = _Union(len(rows))
    if group_by is not None:
        values = [row.get(group_by) for row in rows] if some_lack_it else column_values(rows, group_by)
        union.join_equal([group_key(value) for value in values])
    union.join_equal(openings(contents), opening_limit(len(rows)))
    union.join_equal([plain_content(content) for content in contents])
    union.join_equal([plain_question(content) for content in contents], question_limit(len(rows)))
    near = near_pairs(contents) if near_too else []
    for a, b, _ in near:
        union.join(a, b)
    return union.clusters(), len({index for a, b, _ in near for index in (a, b)})


def joined(clusters: Sequence[list[int]], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The clusters, those of each pair of row indices made one; the largest first."""
    union = _Union(sum(map(len, clusters)))
    for cluster in clusters:
        for index in cluster[1:]:
            union.join(index, cluster[0])
    for a, b in pairs:
        union.join(a, b)
    return union.clusters()


def column_values(rows: Sequence[Row], column: str) -> list[Any]:
    """The column's value in every row. Raises EngineError naming the first row that lacks it."""
    for number, row in enumerate(rows, start=1):
        if row.get(column) is None:
            near = ", ".join(map(str, row))
            raise EngineError(f"Row {number} has no {column}", f"it has: {near}", f"rows are split by {column}")
    return [row[column] for row in rows]


class _Union:
    """Which indices are joined: a forest in which each points towards its root."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, index: int) -> int:
        """The one index that stands for all that are joined with this one."""
        parents = self._parents
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def join(self, a: int, b: int) -> None:
        """Join the indices and all that are joined with them."""
        self._parents[self.root(a)] = self.root(b)

    def clusters(self) -> list[list[int]]:
        """The indices that are joined, in order; the largest cluster first."""
        clusters: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parents)):
            clusters[self.root(index)].append(index)
        return sorted(clusters.values(), key=lambda cluster: (-len(cluster), cluster[0]))

    def join_equal(self, keys: Sequence[str], limit: int | None = None) -> None:
        """Join the indices of equal keys, except the empty key, and keys that more than `limit` have."""
        members: dict[str, list[int]] = defaultdict(list)
        for index, key in enumerate(keys):
            members[key].append(index)
        for key, indices in members.items():
            if key and (limit is None or len(indices) <= limit):
                for index in indices[1:]:
                    self.join(index, indices[0])
