"""What a split did with the groups of its rows: the column that was used, how many groups, and what is shared still."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rung.engine.data.row_text import Row
from rung.engine.splits.grouping import FEWEST_GROUPS, GroupColumn, group_key, group_names


@dataclass(frozen=True)
class GroupsApart:
    """The column by which rows were kept together (null: none), its groups, and those of them that are held out.

    `found` is whether the program chose the column. `shared` are columns that held-out rows have in common with
    training rows: how many of them do.
    """

    column: str | None
    groups: int
    held_out_groups: int
    found: bool
    shared: Mapping[str, int]


@dataclass(frozen=True)
class GroupReport:
    """The groups, with notes and warnings that say it in words."""

    apart: GroupsApart
    notes: list[str]
    warnings: list[str]


def report_groups(
    splits: Mapping[str, Sequence[Row]], column: str | None, columns: Sequence[GroupColumn], found: bool
) -> GroupReport:
    """What became of the groups. `columns` are those found in all rows, whether they were split by or not."""
    notes, warnings = [], []
    rows = [row for part in splits.values() for row in part]
    train, held_out = splits.get("train", ()), splits["test"]
    groups = groups_in(rows, column) if column is not None else 0
    out = groups_in(held_out, column) if column is not None else 0
    if column is not None:
        notes.append(f"rows with the same {column} stay in one split: {groups} groups, {out} of them held out")
        if out < FEWEST_GROUPS:
            warnings.append(
                f"only {out} groups of {column} are held out: scores on them vary more than their number of rows says"
            )
    shared = {}
    for other in columns:
        count = _shared(train, held_out, other.name)
        if other.name != column and count:
            shared[other.name] = count
            told = f"{count} of {len(held_out)} held-out rows share their {other.name} with training rows"
            (notes if column is not None else warnings).append(told + _why(other, len(rows)))
    return GroupReport(GroupsApart(column, groups, out, found, shared), notes, warnings)


def groups_in(rows: Sequence[Row], column: str) -> int:
    """How many groups the rows are by the column; a row without a value is one of its own."""
    return len(set(group_names(rows, column)))


def _shared(train: Sequence[Row], held_out: Sequence[Row], column: str) -> int:
    learned = {group_key(row.get(column)) for row in train} - {""}
    return sum(group_key(row.get(column)) in learned for row in held_out)


def _why(column: GroupColumn, num_rows: int) -> str:
    if column.groups < FEWEST_GROUPS:
        return f": {column.groups} groups are too few to split by ({FEWEST_GROUPS} at least)"
    if not column.splits(num_rows):
        return f": one of its groups has {column.largest} of {num_rows} rows, too many to split by"
    return f" ({column.groups} groups)"
