"""A run's training and validation rows: read as the method wants them, held out by group, and told."""

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.data.hub import training_source, validation_source
from rung.engine.data.report import LoadedData, group_of, subset
from rung.engine.jobs.events import Warned
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods import method_module, method_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VALIDATION_SHARE = 0.1


def read_splits(recipe: Recipe, root: Path, tokenizer: "PreTrainedTokenizerBase") -> tuple[LoadedData, LoadedData]:
    """Training and validation rows; without a validation file a tenth of the training rows is held out."""
    module = method_module(recipe.method)
    train = module.load_data(recipe, training_source(recipe.data, root), tokenizer)
    chosen_on = validation_source(recipe.data, root)
    if chosen_on is not None:
        return train, module.load_data(recipe, chosen_on, tokenizer)
    return hold_out(train, recipe.seed, method_of(recipe.method).validation_most)


def hold_out(data: LoadedData, seed: int, most: int) -> tuple[LoadedData, LoadedData]:
    """A tenth of the rows, at most `most`, for validation; the rest for training.

    Rows that begin with the same user's turn (of one conversation, say) stay together. Where they all do, or the
    groups are too large to hold one out, rows are drawn one by one.
    """
    total = len(data.encoded)
    wanted = min(most, max(1, round(total * VALIDATION_SHARE)))
    if wanted >= total:
        raise EngineError("One row is too few: training and validation need one each", hint="add rows")
    drawn = random.Random(seed)
    held: list[int] = []
    for group in _groups_in_random_order(data, drawn):
        if len(held) + len(group) <= wanted:
            held += group
    if not held:
        held = drawn.sample(range(total), wanted)
    kept = set(held)
    train = subset(data, [number for number in range(total) if number not in kept])
    # What is wrong with the source is told once, with the rows that are trained on.
    report = replace(train.report, problems=data.report.problems, notes=data.report.notes)
    return replace(train, report=report), subset(data, sorted(held))


def tell(data: LoadedData, split: str, reporter: Reporter) -> None:
    """Warn of the rows that can't be used and of what the report notes."""
    report = data.report
    if report.problems:
        first = "; ".join(
            f"{Path(problem.source).name} {problem.place}: {problem.field} {problem.reason}".replace("  ", " ")
            for problem in report.problems[:3]
        )
        reporter.write(
            Warned(f"{len(report.problems)} of {report.rows} {split} rows can't be used", first, "rung check lists all")
        )
    for column in report.unused:
        if column.kind:
            reporter.write(Warned(f"{split}: the column {column.name} isn't used", column.why))
    for note in report.notes:
        hint = "raise data.max_length or shorten the rows" if "max_length" in note else ""
        reporter.write(Warned(f"{split}: {note}", hint=hint))


def _groups_in_random_order(data: LoadedData, drawn: random.Random) -> list[list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(data.examples):
        groups[group_of(example)].append(number)
    order = list(groups.values())
    drawn.shuffle(order)
    return order
