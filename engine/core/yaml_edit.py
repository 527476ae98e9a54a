"""Single values of a YAML file replaced in its text: comments, order, quoting and layout stay as they were written.

Only the characters of a changed value are replaced, where the parser found them. (A round trip of the whole file
through a library lays it out anew, and loses the comments around a block that goes.)
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from rung.engine.core.commented_yaml import commented_yaml, on_one_line
from rung.engine.core.errors import EngineError
from rung.engine.core.yaml_text import compose_yaml, parse_yaml

SET_ASIDE = "#| "
"""Begins the lines of a block that null took the place of; from them the block comes back."""

_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*", re.MULTILINE)
_ASIDE = re.compile(r"\r?\n[ \t]*#\|[^\r\n]*")


def edit_yaml(text: str, changes: Mapping[str, Any], origin: str) -> str:
    """The text with some values replaced, named as `training.learning_rate`; a value that it has already stays.

    A value is plain, or settings: those are written as a block with their comments, or where the file has the block
    already, the fields that were set are changed in it, as the keys of a mapping are. Raises EngineError where the text
    can't be changed in this way.
    """
    for name, value in changes.items():
        before = parse_yaml(text, origin)[0] or {}
        for path, single in _singles(before, tuple(name.split(".")), value):
            text = _changed(text, path, single, origin)
    return text


def edit_comments(text: str, comments: Mapping[str, tuple[Collection[str], str]], origin: str) -> str:
    """The text with another comment behind some fields, where the comment there is one of the given ones.

    `comments` is {field: (comments that may be replaced, the new one)}.
    """
    for name, (old, new) in comments.items():
        text = _Edit(text, origin).with_comment(tuple(name.split(".")), old, new)
    return text


def _changed(text: str, path: tuple[str, ...], value: Any, origin: str) -> str:
    edited = _Edit(text, origin).with_value(path, value)
    try:
        before, after = parse_yaml(text, origin)[0] or {}, parse_yaml(edited, origin)[0]
        whole = _holds(_at(after, path), _set_fields(value)) and _without(after, path) == _without(before, path)
    except (EngineError, KeyError):
        whole = False
    if not whole:  # An alias, say, whose value stands somewhere else.
        told = f"{'.'.join(path)}: {on_one_line(_set_fields(value))}"
        raise EngineError(f"{origin} can't be changed in place", told, "write it into the file yourself")
    return edited


class _Edit:
    """One change of a text, at the places that the parser names."""

    def __init__(self, text: str, origin: str) -> None:
        self._text = text
        self._break = "\r\n" if "\r\n" in text else "\n"
        self._root = compose_yaml(text, origin)

    def with_value(self, path: tuple[str, ...], value: Any) -> str:
        """The text in which the field has the value."""
        node, key, in_flow = self._root, None, False
        for at, name in enumerate(path):
            if not isinstance(node, yaml.MappingNode):
                value = _nested(path[at:], value)
                break
            in_flow = in_flow or bool(node.flow_style)
            pair = next((pair for pair in node.value if pair[0].value == name), None)
            if pair is None:
                return self._inserted(node, path[at:], value, in_flow)
            key, node = pair
        if node is None or key is None:  # Nothing there but comments.
            return self._joined([self._text.rstrip("\r\n"), *_lines(path, _at(value, path), ""), ""])
        if isinstance(value, (dict, BaseModel)) and not in_flow:
            return self._opened(key, node, path, value)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            return self._closed(key, node, value)
        return self._replaced(key, node, value, in_flow)

    def with_comment(self, path: tuple[str, ...], old: Collection[str], new: str) -> str:
        """The text in which the comment behind the field is the new one, where it was one of the old ones."""
        node = self._root
        for name in path:
            pairs: list[Any] = node.value if isinstance(node, yaml.MappingNode) and not node.flow_style else []
            node = next((value for key, value in pairs if key.value == name), None)
        if node is None:
            return self._text
        start = self._end(node)
        end = self._line_end(start)
        behind = self._text[start:end]
        comment = behind.strip().removeprefix("#").strip()
        return self._text[:start] + behind.replace(comment, new) + self._text[end:] if comment in old else self._text

    def _inserted(self, block: yaml.MappingNode, path: tuple[str, ...], value: Any, in_flow: bool) -> str:
        """A key more in a block: last, or first between braces."""
        if in_flow:
            at = block.start_mark.index + 1
            new = on_one_line(_nested(path, _set_fields(value)))[1:-1] + (", " if block.value else "")
            return self._text[:at] + new + self._text[at:]
        at = self._after(block)
        lines = _lines(path, value, " " * block.start_mark.column)
        return self._joined([self._text[:at], *lines]) + self._text[at:]

    def _opened(self, key: yaml.Node, node: yaml.Node, path: tuple[str, ...], value: Any) -> str:
        """A block in the place of a value: the one that was set aside there, or a new one."""
        start, end = node.start_mark.index, self._end(node)
        head, behind = self._text[:start].rstrip(" "), self._text[end : self._line_end(end)]
        after = self._after(node)
        aside = self._text[self._line_end(end) : after].splitlines()
        if aside:
            block = [re.sub(r"^([ \t]*)#\| ?", r"\1", line).rstrip(" ") for line in aside[1:]]
            restored = self._joined([head + behind, *block]) + self._text[after:]
            return edit_yaml(restored, {".".join(path): _set_fields(value)}, "the block that was set aside")
        indent = " " * (key.start_mark.column + 2)
        return self._joined([head + behind, *_lines((), value, indent)]) + self._text[after:]

    def _closed(self, key: yaml.Node, node: yaml.CollectionNode, value: Any) -> str:
        """A value on one line in the place of a block: its comments stay below, before null all of it as a comment."""
        colon = self._text.index(":", key.end_mark.index) + 1
        first, last = self._line_end(colon), self._line_end(self._end(node))
        indent = " " * node.start_mark.column
        if value is None and isinstance(node, yaml.MappingNode):
            below = [
                f"{indent}{SET_ASIDE}{line.removeprefix(indent)}".rstrip()
                for line in self._text[first:last].splitlines()[1:]
            ]
        else:
            below = [indent + comment for comment in self._comments(node, first, last)]
        head = f"{self._text[:colon]} {on_one_line(value)}{self._text[colon:first]}"
        return self._joined([head, *below]) + self._text[last:]

    def _replaced(self, key: yaml.Node, node: yaml.Node, value: Any, in_flow: bool) -> str:
        """Another value in the place of a scalar or of what stands between brackets."""
        start, end = node.start_mark.index, self._end(node)
        line_end, column = self._line_end(end), key.start_mark.column
        # In brackets a comma ends a value, so it is written as an item of a list is.
        new = on_one_line([_set_fields(value)])[1:-1] if in_flow else on_one_line(_set_fields(value))
        below: list[str] = []
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            if isinstance(value, str) and _fits_literal(value):
                new = self._joined(
                    ["|" if value.endswith("\n") else "|-", *(" " * (column + 2) + line for line in value.splitlines())]
                )
            heading = _COMMENT.search(self._text[start:end].splitlines()[0])
            if heading is not None:
                below = [" " * column + heading[0]]
        elif isinstance(node, yaml.MappingNode) and node.value and value is None and not in_flow:
            below = [f"{' ' * (column + 2)}{SET_ASIDE}{line.strip()}" for line in self._text[start:end].splitlines()]
        elif isinstance(node, yaml.CollectionNode):
            below = [" " * column + comment for comment in self._comments(node, start, end)]
        gap = "" if self._text[start - 1].isspace() else " "
        return self._joined([self._text[:start] + gap + new + self._text[end:line_end], *below]) + self._text[line_end:]

    def _comments(self, node: yaml.Node, start: int, end: int) -> list[str]:
        """The comments in a part of the text; a # within a value is none."""
        shown = list(self._text)
        for scalar in _scalars(node):
            first, last = scalar.start_mark.index, self._end(scalar)
            shown[first:last] = "x" * (last - first)
        return [found[0].rstrip() for found in _COMMENT.finditer("".join(shown[start:end]))]

    def _end(self, node: yaml.Node) -> int:
        """Behind the last character of a value; the parser's own mark of a block is where the next thing begins."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            each = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
            return max(self._end(part) for part in each)
        start, end = node.start_mark.index, node.end_mark.index
        return start + len(self._text[start:end].rstrip())

    def _after(self, node: yaml.Node) -> int:
        """The end of the value's last line, and of what is set aside below it."""
        at = self._line_end(self._end(node))
        while (line := _ASIDE.match(self._text, at)) is not None:
            at = line.end()
        return at

    def _line_end(self, at: int) -> int:
        found = re.compile(r"\r?\n|\Z").search(self._text, at)
        return found.start() if found is not None else len(self._text)

    def _joined(self, lines: list[str]) -> str:
        return self._break.join(lines)


def _lines(path: tuple[str, ...], value: Any, indent: str) -> list[str]:
    """A field and its value, as lines of a block."""
    if path:
        deeper = _lines(path[1:], value, indent + "  ") if path[1:] or isinstance(value, (dict, BaseModel)) else None
        return [f"{indent}{path[0]}: {on_one_line(value)}"] if deeper is None else [f"{indent}{path[0]}:", *deeper]
    if isinstance(value, BaseModel):
        return [indent + line for line in commented_yaml(value).splitlines()]
    return [line for name, each in value.items() for line in _lines((name,), each, indent)]


def _fits_literal(text: str) -> bool:
    """Whether a text can stand in a literal block as it is."""
    lines = text.split("\n")
    starts = bool(lines[0]) and not lines[0][0].isspace()
    return starts and not text.endswith("\n\n") and all(line.isprintable() for line in lines)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    else:
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                yield from _scalars(part)


def _singles(before: Any, path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The fields that change; over a mapping a mapping's keys, one by one."""
    try:
        old = _at(before, path)
    except KeyError:
        yield path, value
        return
    if isinstance(old, dict) and isinstance(value, (dict, BaseModel)):
        for name, each in _set_fields(value).items():
            yield from _singles(before, (*path, name), each)
    elif old != value:
        yield path, value


def _set_fields(value: Any) -> Any:
    """The value as plain ones; of settings the fields that were set."""
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(value, dict):
        return {name: _set_fields(each) for name, each in value.items()}
    return value


def _nested(path: tuple[str, ...], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            raise KeyError(name)
        value = value[name]
    return value


def _without(value: Any, path: tuple[str, ...]) -> Any:
    """The mapping without one field, and without what is empty then."""
    if not isinstance(value, dict):
        return None
    rest = {name: each for name, each in value.items() if name != path[0]}
    inner = _without(value.get(path[0]), path[1:]) if path[1:] else None
    return rest | {path[0]: inner} if inner else rest


def _holds(value: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one; of a mapping, whether it has all the wanted fields."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(name in value and _holds(value[name], each) for name, each in wanted.items())
    return bool(value == wanted)
