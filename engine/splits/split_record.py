"""data/splits.json: where the splits came from, what they hold, and who looked at the held-out rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, sha256_file, write_json_atomic
from rung.engine.data.read import read_rows
from rung.engine.data.row_text import content_hash
from rung.engine.splits.group_report import groups_in

SPLITS_FILE = "data/splits.json"


@dataclass(frozen=True)
class SplitFile:
    """One split: its file (relative to the project), number of rows, and the hashes of its bytes and of its content.

    `groups` is how many groups its rows are, by the record's `group_by`; null without one, and in older records.
    """

    file: str
    rows: int
    sha256: str
    content: str
    groups: int | None = None


@dataclass(frozen=True)
class Look:
    """One candidate's first scoring on a held-out split."""

    time: float
    candidate: str
    generation: int
    split: str = "test"


@dataclass(frozen=True)
class SplitsRecord:
    """What data/splits.json holds. `generation` counts the scoreboards: a changed held-out set starts a new one.

    `final_opened` is when the sealed final split was opened, null while it is sealed. `measure` says by which measure
    rows were kept together (`rung.engine.splits.alike`); 1 in older records, which don't say it.
    """

    generation: int
    made: float
    seed: int
    group_by: str | None
    time_by: str | None
    label: str | None
    sources: list[dict[str, Any]]
    splits: Mapping[str, SplitFile]
    looks: list[Look]
    final_opened: float | None = None
    refrozen: list[dict[str, Any]] | None = None
    measure: int = 1


def is_frozen(project_dir: Path) -> bool:
    """Whether the project's splits were made (or declared) and frozen."""
    return (project_dir / SPLITS_FILE).exists()


def read_splits(project_dir: Path) -> SplitsRecord:
    """The record of the project's splits. Raises EngineError where there is none, or it can't be read."""
    path = project_dir / SPLITS_FILE
    if not path.exists():
        raise EngineError(
            "The project's splits are not frozen", f"{path} does not exist", "rung new --train FILE splits a file"
        )
    value = read_json(path)
    try:
        splits = {name: SplitFile(**split) for name, split in value["splits"].items()}
        looks = [Look(**look) for look in value["looks"]]
        known = {name: value[name] for name in SplitsRecord.__dataclass_fields__ if name in value}
        return SplitsRecord(**(known | {"splits": splits, "looks": looks}))
    except (KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{path} is not a record of splits", f"{type(error).__name__}: {error}") from None


def write_record(project_dir: Path, record: SplitsRecord) -> None:
    """Replace data/splits.json in one step."""
    write_json_atomic(project_dir / SPLITS_FILE, asdict(record))


def describe_split(project_dir: Path, file: str, group_by: str | None = None) -> SplitFile:
    """The hashes of a split's file as it is now, and its number of groups by a column that it has."""
    path = project_dir / file
    rows = [row.fields for row in read_rows(path)[0]]
    is_grouped = group_by is not None and any(group_by in row for row in rows)
    groups = groups_in(rows, str(group_by)) if is_grouped else None
    return SplitFile(file, len(rows), sha256_file(path), content_hash(rows), groups)
