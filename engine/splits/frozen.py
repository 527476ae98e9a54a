"""The promise of the held-out rows: that they are still the frozen ones, and how often they were looked at."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import sha256_file
from rung.engine.splits.split_record import (
    SPLITS_FILE,
    Look,
    SplitFile,
    SplitsRecord,
    describe_split,
    read_splits,
    write_record,
)

HELD_OUT = ("test", "final")


def verify_frozen(project_dir: Path, test_file: str | None = None) -> SplitsRecord:
    """The record, after checking that the held-out rows are the frozen ones.

    `test_file` is the held-out file that the project names now. Raises EngineError if it is another one, is gone, or
    holds other rows; the same rows written in another way are the same.
    """
    record = read_splits(project_dir)
    frozen = record.splits["test"]
    if test_file is not None and (project_dir / test_file).resolve() != (project_dir / frozen.file).resolve():
        raise _changed(f"{frozen.file} was frozen, {test_file} is named now")
    for name in HELD_OUT:
        if name in record.splits:
            _verify(project_dir, record.splits[name])
    return record


def refreeze(project_dir: Path, test_file: str | None = None, reason: str = "") -> int:
    """Accept the held-out rows as they are now, and start a new scoreboard; gives its generation.

    Looks and the seal are kept on record, but count for the earlier scoreboard.
    """
    with _locked(project_dir):
        record = read_splits(project_dir)
        files = {name: split.file for name, split in record.splits.items()}
        files["test"] = test_file or files["test"]
        splits = {name: describe_split(project_dir, file, record.group_by) for name, file in files.items()}
        entry = {"time": time.time(), "reason": reason, "before": record.splits["test"].content}
        write_record(
            project_dir,
            replace(
                record,
                generation=record.generation + 1,
                splits=splits,
                refrozen=[*(record.refrozen or []), entry],
            ),
        )
        return record.generation + 1


def count_look(project_dir: Path, candidate: str, split: str = "test") -> int:
    """Note that a candidate is scored on the held-out rows; gives how many candidates were on this scoreboard.

    The same candidate counts once: scoring it again (after a kill, say) shows nothing new.
    """
    with _locked(project_dir):
        record = read_splits(project_dir)
        look = Look(time.time(), candidate, record.generation, split)
        if not any(_same_look(look, earlier) for earlier in record.looks):
            record = replace(record, looks=[*record.looks, look])
            write_record(project_dir, record)
    return _count(record, split)


def looks_at_test(project_dir: Path, split: str = "test") -> int:
    """How many candidates were scored on the held-out rows since they were frozen."""
    return _count(read_splits(project_dir), split)


def open_final(project_dir: Path) -> Path:
    """The file of the sealed final split, opened: the first time is noted for good. Raises EngineError without one."""
    with _locked(project_dir):
        record = verify_frozen(project_dir)
        require_final(project_dir)
        if record.final_opened is None:
            write_record(project_dir, replace(record, final_opened=time.time()))
        return project_dir / record.splits["final"].file


def require_final(project_dir: Path) -> None:
    """Raise EngineError where no final split was set aside; nothing is opened by asking."""
    if "final" not in read_splits(project_dir).splits:
        raise EngineError(
            "The project has no sealed final split",
            hint="it is set aside when the splits are made: rung new --final-rows N",
        )


def _verify(project_dir: Path, frozen: SplitFile) -> None:
    path = project_dir / frozen.file
    if not path.exists():
        raise _changed(f"{frozen.file} is gone; it held {frozen.rows} rows")
    if sha256_file(path) == frozen.sha256:
        return
    now = describe_split(project_dir, frozen.file)
    if now.content != frozen.content:
        raise _changed(f"{frozen.file} held {frozen.rows} rows, and holds {now.rows} now, not the same ones")


def _changed(details: str) -> EngineError:
    return EngineError(
        "The held-out rows have changed since they were frozen",
        details,
        "put them back, or freeze the new ones on purpose, which starts a new scoreboard",
    )


def _count(record: SplitsRecord, split: str) -> int:
    return sum(look.generation == record.generation and look.split == split for look in record.looks)


def _same_look(a: Look, b: Look) -> bool:
    return (a.candidate, a.generation, a.split) == (b.candidate, b.generation, b.split)


@contextlib.contextmanager
def _locked(project_dir: Path) -> Iterator[None]:
    """One process at a time changes the record; on a file system without locks, none is taken."""
    folder = (project_dir / SPLITS_FILE).parent
    if not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
