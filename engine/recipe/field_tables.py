"""Settings as Markdown: a table of a model's own fields, then a section for each of its blocks."""

import types
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rung.engine.recipe.schema import ModelSettings


def field_tables(settings: type[BaseModel], heading: str) -> list[str]:
    """The sections: the plain fields under `heading`, then every block under its own name."""
    plain, blocks = [], []
    for name, info in settings.model_fields.items():
        block = _block_of(info)
        if block is None:
            plain.append(_row(name, info))
        else:
            blocks.append((name, info, block))
    return [
        f"## {heading}\n\n" + _table(plain),
        *(field_section(name, info, block, level=2) for name, info, block in blocks),
    ]


def field_section(name: str, info: FieldInfo, block: type[BaseModel], level: int) -> str:
    """One block: what it is for, its fields, and the blocks within it; models, which recur, are a row only."""
    rows, inner = [], []
    for field, field_info in block.model_fields.items():
        deeper = _block_of(field_info)
        if deeper is None or deeper is ModelSettings:
            rows.append(_row(field, field_info))
        else:
            inner.append(field_section(f"{name}.{field}", field_info, deeper, level + 1))
    said = f"{(info.description or '')[:1].upper()}{(info.description or '')[1:]}."
    return "\n".join([f"{'#' * level} {name}\n\n{said}\n\n{_table(rows)}", *inner])


def _table(rows: list[str]) -> str:
    return "\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _row(name: str, info: FieldInfo) -> str:
    return f"| `{name}` | {_type_words(info.annotation)} | {_default(info)} | {info.description or ''} |"


def _default(info: FieldInfo) -> str:
    if isinstance(info.json_schema_extra, dict) and "default_in_words" in info.json_schema_extra:
        return str(info.json_schema_extra["default_in_words"])
    if info.is_required():
        return "needed"
    value = info.get_default(call_default_factory=True, validated_data={})
    shown = str(value).replace("\n", "⏎")
    return "null" if value is None else f"`{shown}`" if value != "" else ""


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
    is_block = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return "mapping" if origin is dict or is_block else "value"


def _block_of(info: FieldInfo) -> type[BaseModel] | None:
    for candidate in (info.annotation, *get_args(info.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
