"""Rows of a split as things to answer: what is asked, what is wanted, and the row's own fields for metrics."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, sha256_text
from rung.engine.data.read import Problem, Row
from rung.engine.data.shaped import read_answers, read_shaped
from rung.engine.data.shapes import Conversation, Message
from rung.engine.project.schema import ProjectData, ProjectSettings
from rung.engine.splits.grouping import group_names
from rung.engine.splits.split_record import is_frozen, read_splits

Split = Literal["train", "validation", "test"]
UNANSWERED = {"text": "running text", "prompts": "prompts alone"}
"""Shapes that there is nothing to score on, in words."""


@dataclass(frozen=True)
class EvaluationExample:
    """One row to be answered. `id` is a hash of what is asked and wanted, so that it doesn't hang on its line.

    `group` names its group by the column that the project's rows were split by (a document, a user); None without one.
    """

    id: str
    messages: tuple[Message, ...]
    reference: str
    fields: Mapping[str, Any]
    line: int
    group: str | None = None

    @property
    def question(self) -> str:
        """The text of the last turn before the answer."""
        return text_of(self.messages[-1])


@dataclass(frozen=True)
class LoadedSplit:
    """The examples of a split in the file's order, and the rows that can't be used."""

    examples: list[EvaluationExample]
    problems: list[Problem]


def load_split(root: Path, settings: ProjectSettings, split: Split) -> LoadedSplit:
    """The examples of one of the project's splits. Raises EngineError where there is none, or nothing to answer."""
    file: str | None = getattr(settings.data, split)
    if file is None:
        raise EngineError(
            f"The project has no {split} rows",
            f"rung.yaml: data.{split} is null",
            "rung new --train FILE splits a file",
        )
    return read_examples(root / file, grouped_as_split(root, settings.data))


def grouped_as_split(root: Path, data: ProjectData) -> ProjectData:
    """`data` with the column by which the frozen splits were made: rung.yaml may have lost or changed it since."""
    column = read_splits(root).group_by if is_frozen(root) else None
    return data if column is None else data.model_copy(update={"group_by": column})


def read_examples(path: Path, data: ProjectData) -> LoadedSplit:
    """The examples of a file, read as the project's `data` says: of pairs and labelled answers the good ones."""
    read = read_shaped(path, data.shape, data.columns)
    groups = _groups(read.rows, data.group_by)
    examples: list[EvaluationExample] = []
    problems = [*read.problems]
    seen: dict[str, int] = {}
    for file in read.files:
        if file.shape in ("text", "prompts"):
            raise EngineError(
                f"{file.source} holds {UNANSWERED[file.shape]}, which has no answer to score",
                f"shape: {file.shape}",
                "evaluate on rows with a prompt and an answer; data.columns says which column is which",
            )
        found, faults = read_answers(file)
        problems += faults
        for row, item in found:
            assert isinstance(item, Conversation)
            examples.append(_example(item, row.fields, seen, groups.get((row.source, row.line))))
    return LoadedSplit(examples, problems)


def sample(examples: Sequence[EvaluationExample], count: int | None) -> list[EvaluationExample]:
    """All examples, or `count` of them, the same ones each time; fewer are always among more."""
    if count is None or count >= len(examples):
        return list(examples)
    order = sorted(examples, key=lambda example: example.id)
    random.Random(0).shuffle(order)
    return order[:count]


def group_count(examples: Sequence[EvaluationExample]) -> int | None:
    """How many groups the examples fall into; None where they are independent: no groups, or one row in each."""
    found = {example.group for example in examples}
    return len(found) if None not in found and len(found) < len(examples) else None


def text_of(message: Message) -> str:
    """A turn's text; of a turn in parts, its text parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _groups(rows: Sequence[Row], column: str | None) -> dict[tuple[str, int], str]:
    """The group of each row by its place; {} where no row has the column. A row without a value is one of its own."""
    if column is None or not any(column in row.fields for row in rows):
        return {}
    names = group_names([row.fields for row in rows], column)
    return {(row.source, row.line): name for row, name in zip(rows, names, strict=True)}


def _example(
    item: Conversation, fields: Mapping[str, Any], seen: dict[str, int], group: str | None
) -> EvaluationExample:
    key = sha256_text(canonical_json([item.prompt, item.reference]))[:16]
    repeat = seen.get(key, 0)
    seen[key] = repeat + 1
    name = key if repeat == 0 else f"{key}-{repeat + 1}"
    return EvaluationExample(name, tuple(item.prompt), item.reference, fields, item.line, group)
