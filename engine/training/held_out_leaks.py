"""Held-out rows in what is learned from or chosen by: looked for wherever a run or a climb can start."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_file, sha256_text, write_json_atomic
from rung.engine.data.content import content_of_row
from rung.engine.data.hub import training_source, validation_source
from rung.engine.data.read import read_rows
from rung.engine.data.row_text import Row
from rung.engine.data.running_text import is_documents
from rung.engine.project.load import load_project
from rung.engine.project.root import is_project
from rung.engine.retrieval.loaders import load_documents
from rung.engine.splits.alike import MEASURE
from rung.engine.splits.frozen import HELD_OUT
from rung.engine.splits.leaks import Leak, leaks_between
from rung.engine.splits.split_record import is_frozen, read_splits

if TYPE_CHECKING:
    from rung.engine.recipe.schema import Recipe

MEMORY_FILE = "evaluations/leaks.json"
_MOST_SHOWN = 5
_MOST_REMEMBERED = 50


@dataclass(frozen=True)
class Leakage:
    """How many rows of a held-out file stand in another file too, and the first of them in words.

    `learned`: the other file is learned from; else checkpoints or prompts are only chosen by it. `of_older_splits`:
    both were made by an earlier version of Rung, which compared rows in another way.
    """

    file: str
    held_out: str
    count: int
    first: tuple[str, ...]
    learned: bool = True
    of_older_splits: bool = False

    @property
    def message(self) -> str:
        """One line."""
        rows = "row stands" if self.count == 1 else "rows stand"
        return f"{self.count} held-out {rows} in {self.file} too"

    @property
    def details(self) -> str:
        """One line for each of the first few."""
        lines = [f"{self.held_out} {one}" for one in self.first]
        if self.of_older_splits:
            lines.append("an earlier version of Rung made these splits, and did not see that the rows are alike")
        return "\n".join(lines)


def leak_refusals(recipe: "Recipe", root: Path) -> dict[str, EngineError]:
    """The gate's refusal of a recipe that learns from held-out rows, under the name that overrides it; else nothing."""
    error = refusal(recipe_leakage(recipe, root))
    return {} if error is None else {"leaks": error}


def recipe_leakage(recipe: "Recipe", root: Path) -> list[Leakage]:
    """The project's held-out rows that a recipe would learn from; none outside a project.

    Of its validation rows only copies word for word count: checkpoints are chosen by them, and nothing is learned.
    """
    held_out = held_out_files(root)
    if not held_out:
        return []
    data = recipe.data
    learned = {data.train: training_source(data, root)}
    if data.replay.source is not None:
        learned[data.replay.source] = root / data.replay.source
    validation = validation_source(data, root)
    chosen_by = {data.validation or data.train: validation} if validation is not None else {}
    return leakage_of(root, learned, chosen_by, data.columns)


def project_leakage(root: Path, train: str | None, validation: str | None) -> list[Leakage]:
    """The same for the rows that examples are taken from, and those that prompts are chosen by."""
    learned, chosen_by = ({file: root / file} if file is not None else {} for file in (train, validation))
    return leakage_of(root, learned, chosen_by)


def leakage_of(
    root: Path, learned: Mapping[str, Path], chosen_by: Mapping[str, Path], columns: Mapping[str, str] | None = None
) -> list[Leakage]:
    """The project's held-out rows in files that something learns from, and word for word in those it is chosen by.

    The files stand under the names that a person gave them; one that isn't there has none. `columns` are theirs (null:
    the project's own).
    """
    held_out = held_out_files(root)
    found = []
    for name in held_out:
        search = _Search(root, name, columns)
        found += [*search.found_in(learned), *search.found_in(chosen_by, verbatim_only=True)]
    return found


def refusal(found: list[Leakage]) -> EngineError | None:
    """The error that refuses them, or None where there are none."""
    if not found:
        return None
    return EngineError(
        "; ".join(one.message for one in found),
        "\n".join(one.details for one in found),
        "take them out: a model that has seen them scores too well on them",
    )


def held_out_files(root: Path) -> list[str]:
    """The frozen files; before anything is frozen the one that rung.yaml names; none outside a project."""
    if not is_project(root):
        return []
    if is_frozen(root):
        splits = read_splits(root).splits
        return [splits[name].file for name in HELD_OUT if name in splits]
    named = load_project(root).data.test
    return [named] if named is not None and (root / named).exists() else []


class _Search:
    """The search for the rows of one held-out file."""

    def __init__(self, root: Path, held_out: str, columns: Mapping[str, str] | None) -> None:
        self._root = root
        self._held_out = held_out
        self._record = read_splits(root) if is_frozen(root) else None
        self._own_columns = load_project(root).data.columns
        self._columns = self._own_columns if columns is None else columns

    def found_in(self, sources: Mapping[str, Path], verbatim_only: bool = False) -> Iterator[Leakage]:
        """What each of the sources, by the name that a person gave it, has of the file."""
        for name, path in sources.items():
            if not path.exists():
                continue
            known = self._remembered(path, verbatim_only)
            if known["count"]:
                first = tuple(known["first"])
                older = self._is_older_split(path)
                yield Leakage(name, self._held_out, known["count"], first, not verbatim_only, older)

    def _remembered(self, path: Path, verbatim_only: bool) -> dict[str, Any]:
        """The leaks of a file, searched once for each content of both, way to read them, and measure."""
        read_by = [dict(self._columns), dict(self._own_columns), verbatim_only, MEASURE]
        content = f"{_content(path)} {_content(self._root / self._held_out)} {canonical_json(read_by)}"
        key = sha256_text(content)[:16]
        memory = self._root / MEMORY_FILE
        known: dict[str, Any] = read_json(memory) if memory.exists() else {}
        if not isinstance(known.get(key), dict):
            held_out = [
                content_of_row(row.fields, self._own_columns) for row in read_rows(self._root / self._held_out)[0]
            ]
            leaks = leaks_between([content_of_row(row, self._columns) for row in _rows(path)], held_out)
            if verbatim_only:
                leaks = [leak for leak in leaks if leak.kind == "verbatim"]
            known[key] = {"count": len(leaks), "first": [_in_words(leak) for leak in leaks[:_MOST_SHOWN]]}
            write_json_atomic(memory, dict(list(known.items())[-_MOST_REMEMBERED:]))
        found: dict[str, Any] = known[key]
        return found

    def _is_older_split(self, path: Path) -> bool:
        """Whether the file is one of the splits as they were made, by an earlier measure."""
        if self._record is None or self._record.measure >= MEASURE or not path.is_file():
            return False
        return _content(path) in (split.sha256 for split in self._record.splits.values())


def _in_words(leak: Leak) -> str:
    return f"row {leak.test_row} is its row {leak.train_row} ({leak.kind}): {leak.text}"


def _rows(path: Path) -> list[Row]:
    if is_documents(path):
        return [{"text": document.text} for document in load_documents(path)[0]]
    return [row.fields for row in read_rows(path)[0]]


def _content(path: Path) -> str:
    """A hash of a file, or of all files of a folder."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_text("\n".join(f"{file.relative_to(path)} {sha256_file(file)}" for file in files))
