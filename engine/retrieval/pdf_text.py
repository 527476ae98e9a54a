"""PDF by pypdfium2: the text of each page, with page numbers kept."""

import re
from collections.abc import Callable
from pathlib import Path

from rung.engine.retrieval.documents import Section, UnreadableFile, clean_text

PAGE_GAP = "\n\n"
# PDFium marks a hyphen at a line's end that only broke the word by U+FFFE (or U+0002 in older builds).
BROKEN_WORD = re.compile("[\ufffe\x02]\\s*")
WRAPPED_SHARE = 0.75  # a line this long, against the page's longest, was broken by the margin and not by its author
SENTENCE_END = (".", "!", "?", ":", ";", "”", '"')


def pdf_to_text(path: Path, note: Callable[[str], None]) -> tuple[str, tuple[Section, ...], str | None]:
    """The text, one section a page, and the title from the file's own metadata. Pages that fail are told to `note`.

    Raises UnreadableFile for an encrypted or damaged file, and for one without any text (a scan).
    """
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        reason = "it needs a password" if "password" in str(error).lower() else f"not a readable PDF ({error})"
        raise UnreadableFile(reason) from error
    try:
        pages = [_page_text(pdf, number, note) for number in range(len(pdf))]
        title = clean_text(pdf.get_metadata_value("Title") or "").strip() or None
    finally:
        pdf.close()
    if not any(pages):
        raise UnreadableFile(f"no text in its {len(pages)} pages: a scan needs text recognition (OCR) first")
    without_text = [str(number) for number, page in enumerate(pages, start=1) if not page]
    if without_text:
        note(f"no text on page {', '.join(without_text)} of {len(pages)}")
    return *_joined(pages), title


def _joined(pages: list[str]) -> tuple[str, tuple[Section, ...]]:
    sections: list[Section] = []
    start = 0
    for number, page in enumerate(pages, start=1):
        end = start + len(page) + len(PAGE_GAP)
        sections.append(Section(start, end, page=number))
        start = end
    return PAGE_GAP.join(pages), tuple(sections)


def _page_text(pdf: object, number: int, note: Callable[[str], None]) -> str:
    import pypdfium2

    try:
        page = pdf[number]  # type: ignore[index]
        textpage = page.get_textpage()
        raw = textpage.get_text_bounded()
        textpage.close()
        page.close()
    except pypdfium2.PdfiumError as error:
        note(f"page {number + 1} can't be read ({error})")
        return ""
    return _reflow(BROKEN_WORD.sub("", clean_text(raw)))


def _reflow(text: str) -> str:
    """Lines that the margin broke are joined, so that sentences are whole; short lines (headings, items) stay."""
    lines = [line.strip() for line in text.split("\n")]
    longest = max((len(line) for line in lines), default=0)
    out = ""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        out += line
        wrapped = line and following and len(line) >= WRAPPED_SHARE * longest and not line.endswith(SENTENCE_END)
        out += " " if wrapped else "\n"
    return re.sub(r"\n{3,}", "\n\n", out).strip()
