"""Values of a recipe that nobody chose: they follow its method, what it trains, its model and its rows.

A value that is the recommended one was not chosen; any other one was, whether it was typed in the wizard or written
into the file. So who chose is seen in the file alone, however often it was opened in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.models.model_facts import ModelFacts, model_facts
from rung.engine.project.root import project_root
from rung.engine.recipe import rates
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import BY_THE_TABLE, Recipe

MAX_LENGTH = 1024
YOUR_CHOICE = "your choice"
"""The comment behind a value that is not the recommended one, where the recommendation's reason stood before."""


@dataclass(frozen=True)
class Advised:
    """A recommended value, and why it is that."""

    value: Any
    reason: str


def advised(method: str, in_full: bool, facts: ModelFacts, rows: int | None) -> dict[str, Advised]:
    """The recommended values of a recipe, by field. `rows` are its training rows, None where they aren't counted."""
    size, context = facts.parameters, facts.context
    reads = f"; the model reads {context:,}" if context else ""
    return {
        "training.learning_rate": Advised(
            rates.learning_rate(method, in_full, size), rates.rate_reason(method, in_full, size)
        ),
        "training.num_train_epochs": Advised(rates.epochs(method, rows), rates.epochs_reason(method, rows)),
        "data.max_length": Advised(
            min(MAX_LENGTH, context or MAX_LENGTH), f"tokens of one example; longer ones are cut, and said{reads}"
        ),
    }


def advised_for(recipe: Recipe, root: Path) -> dict[str, Advised]:
    """`advised` for a recipe, by the files that are there now; a model that isn't there is taken for a usual one."""
    facts = facts_or_none(recipe.model.name, root, recipe.model.revision)
    return advised(recipe.method, recipe.adapter is None, facts, count_rows(root / recipe.data.train))


def followed(before: Recipe, after: Recipe, root: Path) -> dict[str, Any]:
    """The values of `after` that change because `before` had the recommended ones, by field."""
    old, new = advised_for(before, root), advised_for(after, root)

    def follows(name: str) -> bool:
        was_advised = value_at(before, name) == value_at(after, name) == old[name].value
        return _is_given(after, name) and was_advised and old[name].value != new[name].value

    return {name: new[name].value for name in new if follows(name)}


def with_recommended(
    before: Recipe, after: Recipe, changes: Mapping[str, Any], root: Path
) -> tuple[dict[str, Any], dict[str, tuple[frozenset[str], str]]]:
    """What else changes in a recipe's file when `changes` make `after` of `before`: values, and comments of Rung's own.

    A comment is {field: (those that may be replaced, the new one)}: a person's own comment is not among them.
    """
    old, new = advised_for(before, root), advised_for(after, root)
    values = {name: value for name, value in followed(before, after, root).items() if name not in changes}
    values |= {name: new[name].value for name in new if name in changes and changes[name] is None}
    comments = {}
    for name, each in new.items():
        is_recommended = values.get(name, value_at(after, name)) == each.value or name == "data.max_length"
        comments[name] = (frozenset({old[name].reason, YOUR_CHOICE}), each.reason if is_recommended else YOUR_CHOICE)
    return values, comments


def load_fitted(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in `path` with `field=value` overrides, and with the recommended values where nobody chose one.

    Its paths are seen from the project's folder, or from its own. Raises EngineError as `load_recipe` does.
    """
    recipe, root = load_recipe(path, overrides), project_root(path.resolve().parent)
    changes: dict[str, Any] = {}
    if overrides and (before := _recipe_or_none(path)) is not None:
        given = {override.partition("=")[0].strip().rpartition(".")[2] for override in overrides}
        following = followed(before, recipe, root)
        changes |= {name: value for name, value in following.items() if name.rpartition(".")[2] not in given}
    left_out = [f"training.{name}" for name in BY_THE_TABLE if name not in recipe.training.model_fields_set]
    if left_out:
        new = advised_for(recipe, root)
        changes |= {name: new[name].value for name in left_out}
    return with_values(recipe, changes)


def with_values(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with some fields replaced, named as `training.learning_rate`."""
    for name, value in values.items():
        block, _, field = name.partition(".")
        recipe = recipe.model_copy(update={block: getattr(recipe, block).model_copy(update={field: value})})
    return recipe


def value_at(recipe: Recipe, name: str) -> Any:
    """The value of a field, named as `training.learning_rate`."""
    block, _, field = name.partition(".")
    return getattr(getattr(recipe, block), field)


def _is_given(recipe: Recipe, name: str) -> bool:
    """Whether the file has the field: one that is left out needs no change."""
    block, _, field = name.partition(".")
    return field in getattr(recipe, block).model_fields_set


def facts_or_none(name: str, root: Path, revision: str | None = None) -> ModelFacts:
    """What the model's files say, and of a model that isn't there, or whose files are damaged, nothing."""
    try:
        return model_facts(name, root, revision)
    except EngineError:
        return ModelFacts(name)


def count_rows(file: Path) -> int | None:
    """The rows of a file of JSON lines, as a project's own are; None for another one, whose rows take long to count."""
    if file.suffix != ".jsonl" or not file.is_file():
        return None
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _recipe_or_none(path: Path) -> Recipe | None:
    """The recipe without any override; None where it needs one to be a recipe."""
    try:
        return load_recipe(path)
    except EngineError:
        return None
