"""Reading a recipe: YAML and `--set` overrides to a checked `Recipe`, with every fault told at once."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import block_of, by_line, count_of, describe_faults, place
from rung.engine.core.faults import field_help as help_of_field
from rung.engine.core.yaml_text import FieldPath, dump_yaml, parse_scalar, read_yaml
from rung.engine.recipe.schema import Recipe
from rung.engine.recipe.trl_arguments import argument_faults


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in `path` with `field=value` overrides applied.

    Raises EngineError that lists every fault with file, line and field.
    """
    value, lines = read_yaml(path)
    if not isinstance(value, dict):
        raise EngineError(
            f"{path} is not a recipe", "it holds no fields", "a recipe begins with a line like: method: sft"
        )
    if "method" not in value and "tune" in value:
        raise EngineError(
            f"{path} describes a project, not a recipe", hint="its recipes are in the folder recipes: rung check RECIPE"
        )
    for override in overrides:
        apply_override(value, override)
    return build_recipe(value, str(path), lines)


def build_recipe(value: dict[str, Any], origin: str, lines: dict[FieldPath, int] | None = None) -> Recipe:
    """A checked recipe from plain values; `origin` and `lines` are used in messages."""
    places = lines or {}
    faults: list[str] = []
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        faults = describe_faults(error, Recipe, places)
    faults += [place(path, places) + fault for path, fault in argument_faults(value)]
    if recipe is None or faults:
        told = "\n".join(by_line(faults))
        raise EngineError(f"{count_of(faults)} in {origin}", told, "docs/recipes.md lists every field")
    return recipe


def apply_override(value: dict[str, Any], override: str) -> None:
    """Set one `field=value` in plain recipe values; a bare field name is accepted where only one block has it."""
    name, equals, text = override.partition("=")
    if not equals:
        raise EngineError(f"--set {override} has no value", hint="write it as --set training.learning_rate=1e-4")
    path = name.strip().split(".")
    if len(path) == 1:
        path = _full_path(path[0])
    target = value
    for key in path[:-1]:
        child = target.get(key)
        if child is None:
            child = target[key] = {}
        if not isinstance(child, dict):
            raise EngineError(f"--set {override}: {key} is not a block")
        target = child
    target[path[-1]] = parse_scalar(text)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every field resolved; the blocks of other methods are left out."""
    plain = recipe.model_dump()
    for method in get_args(Recipe.model_fields["method"].annotation):
        if method != recipe.method and not plain.get(method):
            plain.pop(method, None)
    return dump_yaml(plain)


def field_help(path: str) -> str:
    """The help text of a field, for example of `training.learning_rate`; empty when there is none."""
    return help_of_field(Recipe, tuple(path.split(".")))


def _full_path(name: str) -> list[str]:
    if name in Recipe.model_fields:
        return [name]
    owners = [
        [key, name]
        for key, info in Recipe.model_fields.items()
        if (block := block_of(info)) is not None and name in block.model_fields
    ]
    if len(owners) == 1:
        return owners[0]
    if owners:
        choices = ", ".join(".".join(owner) for owner in owners)
        raise EngineError(f"--set {name}: several blocks have that field", choices, "write the block's name before it")
    known = [
        f"{key}.{inner}"
        for key, info in Recipe.model_fields.items()
        if (b := block_of(info))
        for inner in b.model_fields
    ]
    short = {full.split(".")[-1]: full for full in known} | {key: key for key in Recipe.model_fields}
    near = difflib.get_close_matches(name, short, n=1)
    hint = f"did you mean {short[near[0]]}?" if near else "write it with its block: training.…"
    raise EngineError(f"--set {name}: no block has that field", hint=hint)
