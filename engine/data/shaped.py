"""The rows of a data source with their shapes: each file by its own, its fields under the shape's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.columns import Reading, answered_shape, apply_columns, label_of, read_as
from rung.engine.data.preferences import read_pair
from rung.engine.data.read import Problem, Row, read_rows
from rung.engine.data.shapes import CONVERTERS, Conversation, Example
from rung.engine.data.turns import RowFault, read_each
from rung.engine.data.unused import UnusedColumn, unused_columns
from rung.engine.recipe.column_names import check_fields
from rung.engine.recipe.data_needs import PAIRED, SHAPE_FIELDS, known_shape, wrong_shape


@dataclass(frozen=True)
class FileRows:
    """The rows of one file under the names of their shape's fields, and the columns that nothing is made of."""

    source: str
    rows: list[Row]
    reading: Reading
    unused: list[UnusedColumn]

    @property
    def shape(self) -> str:
        """What a row holds."""
        return self.reading.shape


@dataclass(frozen=True)
class ShapedRows:
    """The files of a data source, and the lines that are not rows."""

    files: list[FileRows]
    problems: list[Problem] = field(default_factory=list)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of all files."""
        return [row for file in self.files for row in file.rows]

    @property
    def count(self) -> int:
        """Rows in all, with those that can't be read; a row that holds several examples counts once."""
        return len({(row.source, row.line) for row in self.rows}) + len(self.problems)

    @property
    def shapes(self) -> dict[str, str]:
        """The shape of each file."""
        return {file.source: file.shape for file in self.files}

    @property
    def shape(self) -> str:
        """The shape, or the shapes, in words."""
        return " and ".join(dict.fromkeys(self.shapes.values()))

    @property
    def columns(self) -> dict[str, str]:
        """The fields whose column has another name, with that name."""
        return {field: column for file in self.files for field, column in file.reading.renamed.items()}

    @cached_property
    def unused(self) -> list[UnusedColumn]:
        """The columns that nothing is made of, each once."""
        found: dict[str, UnusedColumn] = {}
        for column in (column for file in self.files for column in file.unused):
            known = found.get(column.name)
            found[column.name] = column if known is None else known.with_rows(known.rows + column.rows)
        return list(found.values())

    @cached_property
    def units(self) -> dict[str, str]:
        """What a place in a file is called, for files whose places are not lines."""
        return {row.source: row.unit for row in self.rows if row.unit != "line"}

    def problem(self, example: Any, field: str, reason: str) -> Problem:
        """Why an example of these rows, or a field of it, can't be used."""
        return Problem(example.line, field, reason, example.source, self.units.get(example.source, "line"))

    def require(self, path: Path, needed: Sequence[str]) -> None:
        """Raise EngineError where a file has another shape than the `needed` ones."""
        if not {*self.shapes.values()} <= {*needed}:
            raise wrong_shape(str(path), self.shapes, needed)


def read_shaped(path: Path, shape: str = "auto", columns: Mapping[str, str] | None = None) -> ShapedRows:
    """The rows of a data source with their shapes; `auto` is told from the columns of each file.

    `columns` is a recipe's: wanted field, column of the file. Raises EngineError.
    """
    known_shape(shape)
    check_fields(columns or {})
    rows, problems = read_rows(path)
    return ShapedRows(shape_rows(rows, shape, columns or {}), problems)


def shape_rows(rows: Sequence[Row], shape: str, columns: Mapping[str, str]) -> list[FileRows]:
    """Rows file by file. Raises EngineError for a column that no row has, and where no shape fits."""
    for column in columns.values():
        if not any(column in row.fields for row in rows):
            names = ", ".join(dict.fromkeys(name for row in rows[:1000] for name in row.fields))
            raise EngineError(
                f"{rows[0].source} has no column {column!r}", f"it has: {names}", "correct data.columns (--columns)"
            )
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row.source, []).append(row)
    return [_shape_file(source, found, shape, columns) for source, found in by_file.items()]


def _shape_file(source: str, rows: Sequence[Row], shape: str, columns: Mapping[str, str]) -> FileRows:
    named = {field: column for field, column in columns.items() if any(column in row.fields for row in rows)}
    reading = read_as(apply_columns(rows, named), shape)
    # What a person named may be a usual name itself: response, which stands for the answer.
    columns = {field: named.get(column, column) for field, column in reading.columns.items()}
    reading = Reading(reading.shape, named | columns)
    return FileRows(source, apply_columns(rows, reading.columns), reading, unused_columns(rows, reading))


def read_answers(file: FileRows) -> tuple[list[tuple[Row, Example]], list[Problem]]:
    """What a file has to learn from as it stands, each beside its row: answers, running text, preferred answers.

    Of labelled answers, those that are labelled good; of prompts nothing.
    """
    if file.shape in PAIRED:
        return read_each(file.rows, lambda row: read_pair(row).conversations[0])
    if file.shape == "kto":
        found, problems = read_each(file.rows, read_labelled)
        return [(row, chat) for row, (chat, good) in found if good], problems
    return read_each(file.rows, CONVERTERS[file.shape]) if file.shape in CONVERTERS else ([], [])


def learnable(
    path: Path, read: ShapedRows, asked: str, needed: Sequence[str]
) -> tuple[list[Example], list[Problem], list[str]]:
    """What there is to learn as it stands, the problems, and notes: rows of the shapes `needed`, and labelled answers.

    Of those the good ones, where `asked` is kto: else EngineError is raised, as for rows of any other shape.
    """
    labelled = "kto" in read.shapes.values()
    read.require(path, (*needed, "kto") if labelled else needed)
    examples: list[Example] = []
    problems = [*read.problems]
    bad = 0
    for file in read.files:
        found, faults = read_answers(file)
        examples += [example for _, example in found]
        problems += faults
        bad += len(file.rows) - len(found) - len(faults)
    if bad and asked != "kto":
        raise _labelled_bad(path, read, bad)
    return examples, problems, [f"{bad:,} answers labelled bad are left out: data.shape is kto"] if bad else []


def _labelled_bad(path: Path, read: ShapedRows, bad: int) -> EngineError:
    answered = next((shape for row in read.rows if (shape := answered_shape(row.fields))), "messages")
    return EngineError(
        f"{bad:,} of {read.count:,} answers are labelled bad, and this method would learn them like the good ones",
        f"{path} holds {read.shape}: {SHAPE_FIELDS['kto']}",
        "method: kto learns from both; data.shape: kto takes the good answers alone; "
        f"data.shape: {answered} takes them all, the bad ones too",
    )


def read_labelled(row: Row) -> tuple[Conversation, bool]:
    """A row's conversation, and whether its answer is labelled good. Raises RowFault."""
    shape = answered_shape(row.fields)
    if shape is None:
        raise RowFault("answer", "is missing: a row holds messages, or a prompt and a completion")
    chat = CONVERTERS[shape](row)
    good = label_of(row.fields.get("label"))
    if good is None:
        raise RowFault("label", "is neither true nor false")
    assert isinstance(chat, Conversation)
    return chat, good
