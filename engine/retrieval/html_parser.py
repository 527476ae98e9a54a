"""A page's blocks of text, with what is not the page's own left out at one of three strictnesses."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

# What is left out: scripts and other things that are never text; also tags and roles for navigation; also elements
# whose class or id says navigation.
Strictness = Literal["scripts", "tags", "names"]

NEVER_TEXT = {"script", "style", "noscript", "template", "svg", "canvas", "iframe", "object"}
BOILERPLATE = {"nav", "footer", "aside", "form", "button", "select", "dialog", "menu"}
ROLES = {"navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "dialog"}
# Only elements that must be closed: a dropped <p> or <li> without its end tag would take the rest of the page along.
NAMED = {"div", "section", "ul", "ol", "table", "header", "span", "details"}
NAME = re.compile(
    r"(?!has|with|no|without|is|layout)(?:[a-z0-9]+[_-])?"
    r"(?:nav|navbar|navigation|menu|sidebar|breadcrumbs?|footer|cookies?|consent|advert\w*|ads?|banner|social|share|sharing"
    r"|related|newsletter|subscribe|pagination|pager|skip|toc|popup|modal)(?:[_-][a-z0-9]+)?",
    re.IGNORECASE,
)
BLOCKS = {
    "address", "article", "blockquote", "body", "br", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table",
    "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Block:
    """One paragraph-like piece: its mark (`##`, `-`), its text and how much of that is links."""

    prefix: str = ""
    parts: list[str] = field(default_factory=list)
    linked: int = 0
    is_main: bool = False
    is_header: bool = False
    is_preformatted: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts)


class PageParser(HTMLParser):
    """Feed it a page, close it, then read `blocks()`, `title` and `is_closed`."""

    def __init__(self, strictness: Strictness) -> None:
        super().__init__(convert_charrefs=True)
        self._strictness = strictness
        self._blocks = [Block()]
        self._title: list[str] = []
        self._in_title = False
        # The element that is being dropped, and its depth counted over tags of its own name only: other people's pages
        # leave tags open, and nothing but the element's own end tag can be trusted.
        self._dropped = ""
        self._depth = 0
        self._main: list[str] = []
        self._header = 0
        self._links = 0
        self._preformatted = 0

    @property
    def title(self) -> str | None:
        """The words of the page's <title>."""
        return " ".join("".join(self._title).split()) or None

    @property
    def is_closed(self) -> bool:
        """Whether every dropped element also ended."""
        return not self._dropped

    def blocks(self) -> list[Block]:
        """The blocks that hold any text."""
        return [block for block in self._blocks if block.text.strip()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            self._depth += tag == self._dropped
            return
        attributes = {name: value or "" for name, value in attrs}
        if tag not in VOID and self._is_dropped(tag, attributes):
            self._dropped, self._depth = tag, 1
            return
        if tag == "title":
            self._in_title = not self._title
        elif tag == "a":
            self._links += 1
        elif tag in ("td", "th"):
            if self._blocks[-1].text.strip():
                self._blocks[-1].parts.append(" | ")
        elif tag in BLOCKS or tag in HEADINGS:
            self._enter_block(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._depth -= tag == self._dropped
            if self._depth == 0:
                self._dropped = ""
            return
        if tag == "title":
            self._in_title = False
        elif tag == "a":
            self._links = max(0, self._links - 1)
        elif tag in BLOCKS or tag in HEADINGS:
            self._leave_block(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._title.append(data)
        elif not self._dropped:
            block = self._blocks[-1]
            block.parts.append(data)
            block.is_main = block.is_main or bool(self._main)
            block.is_header = block.is_header or bool(self._header and not self._main)
            if self._links:
                block.linked += len(data.strip())

    def _is_dropped(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag in NEVER_TEXT:
            return True
        if self._strictness == "scripts" or tag in ("html", "body", "main", "article", *HEADINGS):
            return False
        if tag in BOILERPLATE or attributes.get("role", "").lower() in ROLES or "hidden" in attributes:
            return True
        if self._strictness == "tags" or tag not in NAMED:
            return False
        names = f"{attributes.get('class', '')} {attributes.get('id', '')}".split()
        return attributes.get("aria-hidden") == "true" or any(NAME.fullmatch(name) for name in names)

    def _enter_block(self, tag: str, attributes: dict[str, str]) -> None:
        if self._preformatted and tag != "pre":
            self._break_line()
            return
        is_main = tag in ("main", "article") or attributes.get("role") == "main"
        if is_main or (self._main and tag == self._main[-1]):
            self._main.append(tag)
        self._header += tag == "header"
        self._preformatted += tag == "pre"
        prefix = HEADINGS.get(tag, "-" if tag == "li" else "")
        if not prefix and not self._blocks[-1].text.strip():
            prefix = self._blocks[-1].prefix  # `<li><p>text` is one item
        self._open("" if self._preformatted else prefix)

    def _leave_block(self, tag: str) -> None:
        if self._preformatted and tag != "pre":
            self._break_line()
            return
        self._header -= tag == "header" and self._header > 0
        self._preformatted -= tag == "pre" and self._preformatted > 0
        if self._main and tag == self._main[-1]:
            self._main.pop()
        self._open("")

    def _break_line(self) -> None:
        if not self._blocks[-1].text.endswith("\n"):
            self._blocks[-1].parts.append("\n")

    def _open(self, prefix: str) -> None:
        if not self._blocks[-1].text.strip():
            self._blocks.pop()
        self._blocks.append(Block(prefix=prefix, is_preformatted=self._preformatted > 0))
