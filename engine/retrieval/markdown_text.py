"""Markdown: its title and the sections that its headings make. Notebooks become Markdown too."""

import json
import re

from rung.engine.retrieval.documents import Section, UnreadableFile

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FRONT_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
SEPARATOR = " › "


def without_front_matter(text: str) -> tuple[str, str | None]:
    """The text after a YAML front matter, and the title that it gives."""
    matter = FRONT_MATTER.match(text)
    if not matter:
        return text, None
    title = FRONT_TITLE.search(matter[1])
    return text[matter.end() :], title[1].strip("'\"") if title else None


def heading_sections(text: str) -> tuple[Section, ...]:
    """One section a heading, titled by its path (`Guide › Install`); what precedes the first heading is in none."""
    found = _headings(text)
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    for number, (start, level, title) in enumerate(found):
        path = [entry for entry in path if entry[0] < level] + [(level, title)]
        end = found[number + 1][0] if number + 1 < len(found) else len(text)
        sections.append(Section(start, end, SEPARATOR.join(name for _, name in path if name)))
    return tuple(sections)


def first_heading(text: str) -> str | None:
    """The text of the first level-one heading."""
    return next((title for _, level, title in _headings(text) if level == 1 and title), None)


def notebook_to_markdown(raw: str) -> str:
    """A Jupyter notebook's text cells, and its code cells in fences; outputs are left out."""
    try:
        notebook = json.loads(raw)
        cells = notebook["cells"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        parts = [_cell_to_markdown(cell, language) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnreadableFile("not a Jupyter notebook of version 4") from None
    return "\n\n".join(part for part in parts if part)


def _cell_to_markdown(cell: dict[str, object], language: str) -> str:
    source = cell.get("source", "")
    text = "".join(source) if isinstance(source, list) else str(source)
    if cell.get("cell_type") != "code" or not text.strip():
        return text.strip()
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _headings(text: str) -> list[tuple[int, int, str]]:
    """(offset, level, title) of the `#` headings outside code fences."""
    found: list[tuple[int, int, str]] = []
    fence = ""
    offset = 0
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        elif heading := HEADING.match(line):
            found.append((offset, len(heading[1]), (heading[2] or "").strip()))
        offset += len(line) + 1
    return found
