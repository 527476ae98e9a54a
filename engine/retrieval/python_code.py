"""Python source by its syntax tree: functions, methods and classes as units."""

import ast
import warnings

from rung.engine.retrieval.documents import Section


def python_sections(text: str) -> tuple[Section, ...] | None:
    """Sections that cover the text: one a function or method (its comments and decorators with it), one for what stands
    between; titled by qualified name. None when it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in somebody's strings are not our user's concern
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    line_ends = _line_ends(text)
    ends: list[tuple[int, str]] = []
    for title, last_line in _units(tree.body, ""):
        end = line_ends[last_line - 1]
        if ends and (ends[-1][1] == title or ends[-1][0] >= end):
            ends[-1] = (max(ends[-1][0], end), ends[-1][1])
        else:
            ends.append((end, title))
    return _sections(ends, len(text))


def _sections(ends: list[tuple[int, str]], length: int) -> tuple[Section, ...]:
    sections: list[Section] = []
    start = 0
    for end, title in ends:
        sections.append(Section(start, end, title))
        start = end
    if sections and start < length:
        last = sections[-1]
        sections[-1] = Section(last.start, length, last.title)
    return tuple(sections)


def _units(body: list[ast.stmt], scope: str) -> list[tuple[str, int]]:
    """(qualified name, last line) in the order of the source; statements outside functions carry their scope's name."""
    units: list[tuple[str, int]] = []
    for node in body:
        last_line = node.end_lineno or node.lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            units.append((_join(scope, node.name), last_line))
        elif isinstance(node, ast.ClassDef):
            name = _join(scope, node.name)
            units.append((name, _header_end(node)))
            units += _units(node.body, name)
        else:
            units.append((scope, last_line))
    return units


def _header_end(node: ast.ClassDef) -> int:
    """The last line before the class's first statement (its bases may take several lines)."""
    first = node.body[0]
    decorators: list[ast.expr] = getattr(first, "decorator_list", [])
    return max(node.lineno, min([first.lineno, *(mark.lineno for mark in decorators)]) - 1)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _line_ends(text: str) -> list[int]:
    ends: list[int] = []
    offset = 0
    # Only \n, as ast counts lines: splitlines would also break at form feeds and Unicode separators.
    for line in text.split("\n"):
        offset += len(line) + 1
        ends.append(min(offset, len(text)))
    return ends
