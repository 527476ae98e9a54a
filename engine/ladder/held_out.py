"""The held-out rows: the frozen ones and no others, never in the training rows, and every look at them counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Warned
from rung.engine.ladder.answers_in_documents import answers_given
from rung.engine.ladder.examples import EvaluationExample, grouped_as_split, load_split, read_examples
from rung.engine.project.schema import ProjectSettings
from rung.engine.splits.make import (
    freeze_files,
    is_frozen,
    looks_at_test,
    open_final,
    read_splits,
    verify_frozen,
)
from rung.engine.training.held_out_leaks import project_leakage, refusal


def held_out_examples(root: Path, project: ProjectSettings, report: Callable[[Event], None]) -> list[EvaluationExample]:
    """The held-out examples, once they are known to be fit for a scoreboard.

    Splits that were never frozen are frozen now. Raises EngineError where the rows have changed since, or stand in the
    training rows too, or word for word in the validation rows (which `overrides: [leaks]` lets pass, with a warning).
    Rows that the documents or the prompt give away with their answers are told in a warning; so are passages and the
    like that they share with training rows, when they are frozen here.
    """
    examples = load_split(root, project, "test").examples
    files = {name: getattr(project.data, name) for name in ("train", "validation", "test")}
    if not is_frozen(root):
        there = {name: file for name, file in files.items() if file is not None}
        made = freeze_files(root, there, columns=project.data.columns)
        for column, count in made.groups.shared.items():
            # The passage that answers is what retrieval brings, whoever has seen it.
            if column != project.data.gold:
                report(Warned(f"{count} of {len(examples)} held-out rows share their {column} with training rows"))
    verify_frozen(root, project.data.test)
    _refuse_leaks(root, project, report)
    given = answers_given(root, project)
    if given.count:
        report(given.warning)
    return examples


def sealed_examples(root: Path, project: ProjectSettings) -> list[EvaluationExample]:
    """The examples of the sealed final split; the seal is broken by this. Raises EngineError where there is none."""
    return read_examples(open_final(root), grouped_as_split(root, project.data)).examples


def held_out_facts(root: Path) -> dict[str, Any]:
    """What a scoreboard says of its held-out rows: how many candidates were scored on them, and which rows they are."""
    if not is_frozen(root):
        return {}
    record = read_splits(root)
    return {
        "looks": looks_at_test(root),
        "generation": record.generation,
        "content": record.splits["test"].content[:12],
    }


def _refuse_leaks(root: Path, project: ProjectSettings, report: Callable[[Event], None]) -> None:
    error = refusal(project_leakage(root, project.data.train, project.data.validation))
    if error is None:
        return
    if "leaks" in project.overrides:
        report(Warned(f"Overridden: {error.message}", error.details))
        return
    raise EngineError(error.message, error.details, f"{error.hint}; or let it pass: overrides: [leaks] in rung.yaml")
