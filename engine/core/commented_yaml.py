"""YAML with a comment on every knob, rendered from the fields' own help texts."""

import json
import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

WIDTH = 118
_COMMENT_COLUMN = 40
FieldName = tuple[str, ...]


def commented_yaml(
    settings: BaseModel,
    reasons: Mapping[FieldName, str] | None = None,
    left_out: Collection[FieldName] = (),
) -> str:
    """The settings as YAML, each field with its help as a comment.

    `reasons` replaces the help of single fields, by path, where there is more to say; `left_out` names fields that are
    not written.
    """
    return "\n".join(_lines(settings, (), reasons or {}, left_out)) + "\n"


def on_one_line(value: Any) -> str:
    """A value on one line, as YAML reads it back."""
    plain = _plain(value)
    text: str = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20)
    text = text.removesuffix("...\n").rstrip("\n")
    # Texts of several lines: JSON's quoting keeps them on one, and YAML reads it.
    return json.dumps(plain, ensure_ascii=False) if "\n" in text else text


def _lines(
    block: BaseModel, path: FieldName, reasons: Mapping[FieldName, str], left_out: Collection[FieldName]
) -> Iterator[str]:
    indent = "  " * len(path)
    for name, info in type(block).model_fields.items():
        here = (*path, name)
        if here in left_out:
            continue
        value = getattr(block, name)
        comment = reasons.get(here, info.description or "")
        if isinstance(value, BaseModel):
            yield from _with_comment(f"{indent}{name}:", comment, indent)
            yield from _lines(value, here, reasons, left_out)
        else:
            yield from _with_comment(f"{indent}{name}: {on_one_line(value)}", comment, indent)
    for name, value in (block.model_extra or {}).items():
        yield f"{indent}{name}: {on_one_line(value)}"


def _with_comment(line: str, comment: str, indent: str) -> Iterator[str]:
    """The line with its comment behind it where that fits, else above it."""
    behind = f"{line:<{_COMMENT_COLUMN}}  # {comment}"
    if not comment:
        yield line
    elif len(behind) <= WIDTH:
        yield behind
    else:
        yield from textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        yield line


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, list) else value
