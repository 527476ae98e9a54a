"""Making a project's splits once: training, validation and held-out rows, written with the record that freezes them."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import sha256_file, write_text_atomic
from rung.engine.data.read import read_rows
from rung.engine.data.row_text import Row, row_id, row_text
from rung.engine.splits.alike import MEASURE
from rung.engine.splits.frozen import count_look, looks_at_test, open_final, refreeze, verify_frozen
from rung.engine.splits.group_report import GroupReport, GroupsApart, report_groups
from rung.engine.splits.grouping import best_column, group_columns
from rung.engine.splits.leaks import Leak, find_leaks
from rung.engine.splits.partition import SPLITS, SplitPlan, partition, split_sizes
from rung.engine.splits.split_record import SplitsRecord, describe_split, is_frozen, read_splits, write_record

__all__ = [
    "Leak",
    "MadeSplits",
    "SplitPlan",
    "SplitsRecord",
    "count_look",
    "find_leaks",
    "freeze_files",
    "is_frozen",
    "looks_at_test",
    "make_splits",
    "open_final",
    "read_splits",
    "refreeze",
    "row_id",
    "row_text",
    "verify_frozen",
]


@dataclass(frozen=True)
class MadeSplits:
    """The record as written, what its maker should know, and held-out rows that the training rows give away.

    `groups` says which rows were kept together.
    """

    record: SplitsRecord
    notes: list[str]
    warnings: list[str]
    groups: GroupsApart
    leaks: list[Leak]


def make_splits(
    project_dir: Path,
    rows: Sequence[Row],
    plan: SplitPlan,
    sources: Mapping[str, Path] | None = None,
    answers: Collection[str] = (),
    passages: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
) -> MadeSplits:
    """Divide the rows, write data/train.jsonl, validation.jsonl, test.jsonl (and final.jsonl), and freeze them.

    `sources` are the files the rows came from: the name to record (relative to the project) and where each lies.
    Rows of one passage, document, conversation or user stay together where a column of a usual name says so, or one of
    long texts that repeat; `answers` are columns that never do, `passages` columns that do whatever their name is.
    `columns` (wanted field: column of the file) says which column is which.
    Raises EngineError where splits are there already, or the rows can't be divided.
    """
    _refuse_if_frozen(project_dir)
    grouping = group_columns(rows, {*answers, plan.label}, passages)
    found = None
    if plan.group_by is None and plan.time_by is None and plan.find_groups:
        share = split_sizes(len(rows), plan)["test"] / len(rows)
        best = best_column(grouping, len(rows), share)
        found = best.name if best is not None else None
    parts = partition(rows, plan, found, columns)
    split_rows = {name: [rows[index] for index in indices] for name, indices in parts.rows.items()}
    column = plan.group_by or found
    report = report_groups(split_rows, column, grouping, found is not None)
    plan = plan.model_copy(update={"group_by": column})
    files = {}
    for name in SPLITS:
        if parts.rows[name]:
            files[name] = f"data/{name}.jsonl"
            _write_rows(project_dir / files[name], split_rows[name])
    report = replace(report, notes=[*report.notes, *parts.notes])
    return _freeze(project_dir, files, plan, sources or {}, report, leaks=[])


def freeze_files(
    project_dir: Path,
    files: Mapping[str, str],
    plan: SplitPlan | None = None,
    sources: Mapping[str, Path] | None = None,
    columns: Mapping[str, str] | None = None,
) -> MadeSplits:
    """Freeze splits that the person made: `files` names those of train, validation and test, as they stand.

    A file outside the project is read where it lies. Held-out rows that stand in the training rows are reported in
    `leaks`, not dropped; passages, documents and users that both have are told in `warnings`.
    Raises EngineError without a held-out file, or where splits are frozen already.
    """
    _refuse_if_frozen(project_dir)
    unknown = sorted(set(files) - set(SPLITS))
    if unknown or "test" not in files:
        raise EngineError(
            "The splits need a held-out file",
            f"named are: {', '.join(files) or 'none'}",
            "name train, validation, test",
        )
    train, test = (
        [row.fields for row in read_rows(project_dir / files[name])[0]] if name in files else []
        for name in ("train", "test")
    )
    report = report_groups({"train": train, "test": test}, None, group_columns([*train, *test]), found=False)
    leaks = find_leaks(train, test, columns)
    return _freeze(project_dir, files, plan or SplitPlan(), sources or {}, report, leaks)


def _freeze(
    project_dir: Path,
    files: Mapping[str, str],
    plan: SplitPlan,
    sources: Mapping[str, Path],
    report: GroupReport,
    leaks: list[Leak],
) -> MadeSplits:
    record = SplitsRecord(
        generation=1,
        made=time.time(),
        seed=plan.seed,
        group_by=plan.group_by,
        time_by=plan.time_by,
        label=plan.label,
        sources=[{"path": name, "sha256": sha256_file(path)} for name, path in sources.items()],
        splits={name: describe_split(project_dir, file, plan.group_by) for name, file in files.items()},
        looks=[],
        measure=MEASURE,
    )
    # Written last: without it, splits that a kill left half made are simply made again.
    write_record(project_dir, record)
    return MadeSplits(record, report.notes, report.warnings, report.apart, leaks)


def _refuse_if_frozen(project_dir: Path) -> None:
    if is_frozen(project_dir):
        raise EngineError(
            "The project's splits are made already",
            "making them anew would move held-out rows into training",
            "make a new project, or refreeze a held-out file that you changed",
        )


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    write_text_atomic(path, "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows))
