"""Writes docs/recipes.md from the recipe's fields: `python -m engine.recipe.page > docs/recipes.md`."""

import types
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.recipe.schema import Recipe

_PREFACE = """# Recipes

A recipe declares one job completely: a YAML file that `rung run` starts, `rung check` examines and the screens fill
in. This page is generated from the fields in `engine/recipe/schema.py` by `python -m engine.recipe.page`.

- Names and meanings follow TRL, PEFT and Transformers. `training:` and the method's own block take any other argument
  of the method's TRL configuration, checked against the installed one.
- An unknown field is refused, with the nearest known name; all faults are told at once, with their lines.
- `--set training.learning_rate=1e-4` overrides a field; a bare name is accepted where only one block has it.
- Paths are relative to the project's folder, or to the recipe outside a project.
- The resolved recipe, the seed and the versions are kept with every run.
"""


def recipes_page() -> str:
    """The whole page as Markdown."""
    plain, blocks = [], []
    for name, info in Recipe.model_fields.items():
        block = _block_of(info)
        if block is None:
            plain.append(_row(name, info))
        else:
            blocks.append((name, info, block))
    sections = [_PREFACE, "## The recipe itself\n\n" + _table(plain)]
    sections += [_section(name, info, block, level=2) for name, info, block in blocks]
    return "\n".join(sections)


def _section(name: str, info: FieldInfo, block: type[BaseModel], level: int) -> str:
    rows, inner = [], []
    for field, field_info in block.model_fields.items():
        deeper = _block_of(field_info)
        if deeper is None:
            rows.append(_row(field, field_info))
        else:
            inner.append(_section(f"{name}.{field}", field_info, deeper, level + 1))
    said = f"{(info.description or '')[:1].upper()}{(info.description or '')[1:]}."
    return "\n".join([f"{'#' * level} {name}\n\n{said}\n\n{_table(rows)}", *inner])


def _table(rows: list[str]) -> str:
    return "\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _row(name: str, info: FieldInfo) -> str:
    return f"| `{name}` | {_type_words(info.annotation)} | {_default(info)} | {info.description or ''} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    value = info.get_default(call_default_factory=True, validated_data={})
    return "null" if value is None else f"`{value}`" if value != "" else ""


def _type_words(annotation: Any) -> str:
    words = {str: "text", int: "integer", float: "number", bool: "true, false", type(None): "null"}
    if annotation in words:
        return words[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_words(choice) for choice in arguments)
    if origin is typing.Annotated:
        return _type_words(arguments[0])
    if origin is list:
        return f"list of {_type_words(arguments[0])}"
    return "mapping" if origin is dict else "value"


def _block_of(info: FieldInfo) -> type[BaseModel] | None:
    for candidate in (info.annotation, *get_args(info.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


if __name__ == "__main__":
    print(recipes_page(), end="")
