"""HTML to Markdown without navigation, scripts and other boilerplate, on the standard library's parser.

Headings become `#` lines, `<pre>` becomes a fence, list items get a dash, table cells are joined by ` | `. Where the
page marks its main part (`<main>`, `<article>`, role=main) only that is kept. Runs of list items that are nothing but
links are menus, and dropped where they stand outside of it.
"""

import re

from rung.engine.retrieval.html_parser import Block, PageParser, Strictness

MENU_ITEMS = 3  # so many neighbouring items of links alone make a menu
MENU_ITEM_CHARACTERS = 60  # longer links are likelier to be content: a bibliography, a list of articles
BYLINE_CHARACTERS = 80  # text this long in a page's <header> is an introduction, not a logo or a log-in link
MAIN_CHARACTERS = 500  # a marked main part of this size is believed even when more text stands around it
MIN_SHARE_BY_NAME = 0.25  # class names that drop more than the rest of this share are about layout, not boilerplate


def html_to_markdown(page: str) -> tuple[str, str | None]:
    """The page's own text as Markdown, and its title."""
    parser = _parse(page, "tags")
    by_name = _parse(page, "names")
    if by_name.is_closed and _length(by_name.blocks()) >= MIN_SHARE_BY_NAME * _length(parser.blocks()):
        parser = by_name
    if not parser.is_closed or not parser.blocks():
        # An end tag is missing, or everything looks like boilerplate: better all the words than none.
        parser = _parse(page, "scripts")
    blocks = _without_menus(_without_site_header(_main_part(parser.blocks())))
    return _join([_render(block) for block in blocks]), parser.title


def _parse(page: str, strictness: Strictness) -> PageParser:
    parser = PageParser(strictness)
    parser.feed(page)
    parser.close()
    return parser


def _main_part(blocks: list[Block]) -> list[Block]:
    main = [block for block in blocks if block.is_main]
    is_believable = _length(main) >= MAIN_CHARACTERS or 2 * _length(main) >= _length(blocks)
    return main if main and is_believable else blocks


def _without_site_header(blocks: list[Block]) -> list[Block]:
    return [
        block
        for block in blocks
        if not block.is_header or block.prefix.startswith("#") or _length([block]) - block.linked > BYLINE_CHARACTERS
    ]


def _without_menus(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []
    run: list[Block] = []
    for block in [*blocks, Block()]:
        if _is_menu_item(block):
            run.append(block)
            continue
        if len(run) < MENU_ITEMS:
            kept += run
        run = []
        kept.append(block)
    return kept[:-1]


def _is_menu_item(block: Block) -> bool:
    length = _length([block])
    return (
        block.prefix == "-"
        and not block.is_main
        and 0 < length <= MENU_ITEM_CHARACTERS
        and block.linked >= 0.9 * length
    )


def _render(block: Block) -> str:
    if block.is_preformatted:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", block.text)), default=0))
        body = block.text.strip("\n").rstrip()
        return f"{fence}\n{body}\n{fence}"
    words = " ".join(block.text.split())
    return f"{block.prefix} {words}" if block.prefix else words


def _join(rendered: list[str]) -> str:
    """Paragraphs a blank line apart, list items and table rows on neighbouring lines."""
    text = ""
    before = ""
    for piece in rendered:
        is_close = (before.startswith("- ") and piece.startswith("- ")) or (" | " in before and " | " in piece)
        text += (("\n" if is_close else "\n\n") if text else "") + piece
        before = piece
    return text


def _length(blocks: list[Block]) -> int:
    return sum(len(block.text.strip()) for block in blocks)
