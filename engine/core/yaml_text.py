"""YAML as people write it: 1e-4 is a number, a key may stand once, and every field knows its line."""

import re
from pathlib import Path
from typing import Any

import yaml

from rung.engine.core.errors import EngineError

FieldPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, where 1e-4 is a string; a learning rate is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> tuple[Any, dict[FieldPath, int]]:
    """The value of a YAML file, and the line (from 1) of each field in it. Raises EngineError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EngineError(f"{path} does not exist", hint="check the path; rung new DIR writes a first recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} can't be read", str(error)) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, origin: str) -> tuple[Any, dict[FieldPath, int]]:
    """As `read_yaml`, from a text; `origin` names it in messages."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines: dict[FieldPath, int] = {}
            if node is not None:
                _collect_lines(node, (), lines, origin)
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise EngineError(
            f"{origin} is not valid YAML", where + str(error.problem or error), "check indentation, colons and quotes"
        ) from None
    except yaml.YAMLError as error:
        raise EngineError(f"{origin} is not valid YAML", str(error)) from None
    return value, lines


def compose_yaml(text: str, origin: str) -> yaml.Node | None:
    """The tree that the parser makes of a text, each value with its place in it; None without any. Raises EngineError.

    `origin` names the text in messages.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise EngineError(f"{origin} is not valid YAML", str(error)) from None


def parse_scalar(text: str) -> Any:
    """A value as it would be read from YAML, for `--set name=value`."""
    value, _ = parse_yaml(text, "the value")
    return value


def dump_yaml(value: Any) -> str:
    """YAML text of a plain value, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _collect_lines(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int], origin: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            child = (*path, str(key_node.value))
            if child in lines:
                dotted = ".".join(map(str, child))
                raise EngineError(
                    f"{origin} has a field twice",
                    f"line {key_node.start_mark.line + 1}: {dotted} stands on line {lines[child]} too",
                    "keep one of them",
                )
            lines[child] = key_node.start_mark.line + 1
            _collect_lines(value_node, child, lines, origin)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _collect_lines(item, (*path, index), lines, origin)
