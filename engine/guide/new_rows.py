"""A new project's rows: read and tried before anything is written, so that what can't work is refused with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import unknown_field
from rung.engine.data.labels import labels_from
from rung.engine.data.preferences import read_pair
from rung.engine.data.prompts import prompts_from
from rung.engine.data.read import Problem, read_rows
from rung.engine.data.shaped import FileRows, read_answers, shape_rows
from rung.engine.data.shapes import Conversation
from rung.engine.data.turns import read_each
from rung.engine.data.unused import UnusedColumn
from rung.engine.project.schema import ProjectData
from rung.engine.recipe.column_names import check_fields
from rung.engine.recipe.data_needs import ANSWERED, PAIRED, SHAPE_FIELDS
from rung.engine.recipe.schema import Method

MOST_TOLD = 5
_METHOD_OF_SHAPE: dict[str, Method] = {
    "preference": "dpo", "hh": "dpo", "kto": "kto", "text": "cpt", "prompts": "grpo",
}  # fmt: skip


@dataclass(frozen=True)
class NewRows:
    """A file's rows as the project keeps them, and the method that learns from them.

    `columns` is what rung.yaml says of them; `references` are answers that can be compared with.
    """

    rows: list[dict[str, Any]]
    method: Method
    shape: str
    columns: dict[str, str]
    references: list[str]
    notes: list[str]
    warnings: list[str]


def read_new_rows(path: Path, declared: ProjectData) -> NewRows:
    """The rows of a file or folder, read as `declared` says.

    Raises EngineError where their shape is not known, none of them can be used, files have shapes that don't go
    together, or a column that `declared` names isn't there.
    """
    check_fields(declared.columns)
    rows, unread = read_rows(path)
    files = shape_rows(rows, declared.shape, declared.columns)
    _require_columns(path, [row.fields for row in rows], declared)
    usable, references = 0, []
    problems = [*unread]
    labels: list[bool] = []
    for file in files:
        found = _try(file)
        usable += found.usable
        references += found.references
        problems += found.problems
        labels += found.labels
    if not usable:
        details = "\n".join(f"{p.source} {p.place}: {p.field}: {p.reason}" for p in problems[:MOST_TOLD])
        hint = "mend the rows, or say which column is which: --columns prompt=… completion=…"
        raise EngineError(f"No row of {path} can be used", details, hint)
    shapes = {file.shape for file in files}
    method = _method(shapes)
    alike = len({_reading(file) for file in files}) == 1
    kept = [row.fields for row in rows] if alike else _in_one_form(path, files)
    columns = _columns(files, declared) if alike else {}
    notes = [*_notes_on_columns(files), *_notes_on_rows(problems, len(unread))]
    warnings = _warnings(files, labels, references, declared)
    return NewRows(kept, method, declared.shape, columns, references, notes, warnings)


@dataclass(frozen=True)
class _Tried:
    usable: int
    problems: list[Problem]
    references: list[str]
    labels: list[bool]


def _try(file: FileRows) -> _Tried:
    if file.shape == "prompts":
        prompts, problems = prompts_from(file.rows, file.shape)
        return _Tried(len(prompts), problems, [each.reference for each in prompts if each.reference], [])
    if file.shape == "kto":
        labelled, problems = labels_from(file.rows, file.shape)
        good = [each.reference for each in labelled if each.reference is not None]
        return _Tried(len(labelled), problems, good, [each.label for each in labelled])
    answers, problems = read_answers(file)
    references = [] if file.shape == "text" else [str(getattr(each, "reference", "")) for _, each in answers]
    return _Tried(len(answers), problems, references, [])


def _method(shapes: set[str]) -> Method:
    methods = {_METHOD_OF_SHAPE.get(shape, "sft") for shape in shapes}
    if "kto" in methods and methods <= {"kto", "dpo"}:
        return "kto"
    return next(iter(methods)) if len(methods) == 1 else "sft"


def _require_columns(path: Path, rows: Sequence[Mapping[str, Any]], declared: ProjectData) -> None:
    for option in ("gold", "label", "time_by", "group_by"):
        column = getattr(declared, option)
        if column is None or option == "group_by" and column == "none":
            continue
        if not any(column in row for row in rows):
            names = list(dict.fromkeys(name for row in rows[:1000] for name in row))
            said = unknown_field(column, names).removeprefix("unknown field; ").removeprefix("unknown field")
            raise EngineError(
                f"No row of {path} has the column {column} (--{option.replace('_', '-')})",
                f"columns are: {', '.join(names)}",
                said or "name one of them",
            )


def _reading(file: FileRows) -> tuple[str, tuple[tuple[str, str], ...]]:
    return file.shape, tuple(sorted(file.reading.renamed.items()))


def _columns(files: Sequence[FileRows], declared: ProjectData) -> dict[str, str]:
    """What was named, and which column an answer, a question, a label was found in under another name."""
    wanted = {"prompt", "completion", "instruction", "output", "question", "answer", "chosen", "rejected", "label"}
    found = {field: column for field, column in files[0].reading.renamed.items() if field in wanted}
    return found | declared.columns


def _in_one_form(path: Path, files: Sequence[FileRows]) -> list[dict[str, Any]]:
    """Rows of files that are read in different ways, written in one: as chats, or as pairs with a prompt."""
    shapes = {file.shape for file in files}
    if shapes <= {*ANSWERED}:
        return [
            _rest(row.fields, file) | {"messages": chat.messages} | ({"tools": chat.tools} if chat.tools else {})
            for file in files
            for row, chat in read_answers(file)[0]
            if isinstance(chat, Conversation)
        ]
    if shapes <= {*PAIRED}:
        return [
            _rest(row.fields, file) | {"prompt": pair.prompt, "chosen": [pair.chosen], "rejected": [pair.rejected]}
            for file in files
            for row, pair in read_each(file.rows, read_pair)[0]
        ]
    if len(shapes) == 1:
        # One shape under several names: every row has its fields under the shape's own.
        return [row.fields for file in files for row in file.rows]
    raise EngineError(
        f"The files of {path} have shapes that don't go into one project",
        "\n".join(f"{file.source} holds {file.shape}: {SHAPE_FIELDS[file.shape]}" for file in files),
        "make the project from files of one kind",
    )


def _rest(fields: Mapping[str, Any], file: FileRows) -> dict[str, Any]:
    """The columns that the row's turns are not made of."""
    made = {*file.reading.columns, *file.reading.columns.values()}
    return {name: value for name, value in fields.items() if name not in made}


def _notes_on_columns(files: Sequence[FileRows]) -> list[str]:
    shapes = {file.shape for file in files}
    notes = [f"{Path(file.source).name} holds {file.shape}" for file in files] if len(shapes) > 1 else []
    renamed = {field: column for file in files for field, column in file.reading.renamed.items()}
    if renamed:
        said = ", ".join(f"{field} is {column}" for field, column in renamed.items())
        notes.append(f"columns: {said} (--columns FIELD=COLUMN says otherwise)")
    if plain := [column.name for column in _unused(files) if not column.kind]:
        notes.append(f"not used: {', '.join(plain)}")
    return notes


def _unused(files: Sequence[FileRows]) -> list[UnusedColumn]:
    return list({column.name: column for file in files for column in file.unused}.values())


def _warnings(
    files: Sequence[FileRows], labels: Sequence[bool], references: Sequence[str], declared: ProjectData
) -> list[str]:
    used = {declared.gold, declared.group_by, declared.label, declared.time_by}
    found = [
        f"the column {column.name} isn't used: {column.why}"
        for column in _unused(files)
        if column.kind and column.name not in used
    ]
    if labels and len({*labels}) == 1:
        kind, other = ("good", "bad") if labels[0] else ("bad", "good")
        way = "; method: sft learns good ones alone" if labels[0] else ""
        found.append(f"all {len(labels):,} answers are labelled {kind}: kto needs {other} ones too{way}")
    if any(file.shape == "prompts" for file in files) and not references:
        found.append(
            "rows hold prompts without answers: sft has nothing to learn from them; the recipe needs a reward "
            "(grpo.rewards), or method: distill a teacher"
        )
    return found


def _notes_on_rows(problems: Sequence[Problem], unread: int) -> list[str]:
    """The first of them in words; the `unread` ones, which come first, are in none of the project's files."""
    told = []
    for number, problem in enumerate(problems[:MOST_TOLD]):
        reason = ": ".join(filter(None, (problem.field, problem.reason)))
        told.append(f"{problem.source} {problem.place} {'is left out' if number < unread else 'is not used'}: {reason}")
    more = len(problems) - len(told)
    return [*told, f"{more:,} more rows are not used; rung check lists them all"] if more > 0 else told
