"""Documents to chunks at semantic boundaries (semantic-text-splitter), with ids that only content decides."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rung.engine.retrieval.documents import Document, DocumentKind, Section
from rung.engine.retrieval.markdown_text import SEPARATOR


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch [start, end) of a document, in characters; `text` is exactly that stretch.

    `title` says where it stands (document, then headings or the function's name), `page` is a PDF's.
    `id` is a hash of file, title and text: the same words in the same file keep their id when other parts change.
    """

    id: str
    source: str
    start: int
    end: int
    text: str
    title: str = ""
    page: int | None = None

    @property
    def label(self) -> str:
        """How an answer names it: source, and page where there is one."""
        return self.source if self.page is None else f"{self.source}, page {self.page}"


def chunk_documents(documents: Iterable[Document], *, chunk_size: int, overlap: int = 0) -> Iterator[Chunk]:
    """Chunks of the documents of ONE file, in order; what repeats within the file gets its own id by its number."""
    seen: dict[str, int] = {}
    for document in documents:
        for start, end, title, page in _spans(document, chunk_size, overlap):
            text = document.text[start:end]
            key = f"{document.path}\0{title}\0{text}"
            repeat = seen.get(digest := _digest(key), 0)
            seen[digest] = repeat + 1
            chunk_id = digest if repeat == 0 else _digest(f"{key}\0{repeat}")
            yield Chunk(chunk_id, document.source, start, end, text, title, page)


def _digest(key: str) -> str:
    # 64 bits: among a million chunks two share an id with a chance of 3e-8.
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _spans(document: Document, chunk_size: int, overlap: int) -> Iterator[tuple[int, int, str, int | None]]:
    """(start, end, title, page) of each chunk, without blank edges."""
    if document.language == "python" and document.sections:
        stretches = _packed(document.sections, chunk_size)
    else:
        stretches = [Section(0, len(document.text))]
    sections = iter(document.sections)
    section = next(sections, None)
    for stretch in stretches:
        for start, end in _cut(document, stretch.start, stretch.end, chunk_size, overlap):
            if document.language == "python":
                yield start, end, _title(document, stretch), None
                continue
            while section is not None and section.end <= start:
                section = next(sections, None)
            inside = section if section is not None and section.start <= start else None
            yield start, end, _title(document, inside), inside.page if inside else None


def _cut(document: Document, start: int, end: int, chunk_size: int, overlap: int) -> list[tuple[int, int]]:
    text = document.text[start:end]
    trimmed_start, trimmed_end = len(text) - len(text.lstrip()), len(text.rstrip())
    if trimmed_end <= trimmed_start:
        return []
    if trimmed_end - trimmed_start <= chunk_size:
        return [(start + trimmed_start, start + trimmed_end)]
    pieces = _splitter(document.kind, document.language, chunk_size, overlap).chunk_indices(text)
    return [_trimmed(text, offset, offset + len(piece), start) for offset, piece in pieces if piece.strip()]


def _trimmed(text: str, start: int, end: int, base: int) -> tuple[int, int]:
    # An overlap may begin with the blank that ends the sentence before.
    piece = text[start:end]
    return base + start + len(piece) - len(piece.lstrip()), base + start + len(piece.rstrip())


def _title(document: Document, section: Section | None) -> str:
    place = section.title if section else ""
    if not place or place == document.title or place.startswith(document.title + SEPARATOR):
        return place or document.title
    return f"{document.title}{SEPARATOR}{place}" if document.title else place


def _packed(sections: tuple[Section, ...], chunk_size: int) -> list[Section]:
    """Neighbouring units of one scope put together while they fit in one chunk; their title is that scope."""
    packed: list[Section] = []
    for section in sections:
        shared = _shared_scope(packed[-1].title, section.title) if packed else None
        if shared is not None and section.end - packed[-1].start <= chunk_size:
            packed.append(Section(packed.pop().start, section.end, shared))
        else:
            packed.append(section)
    return packed


def _shared_scope(first: str, second: str) -> str | None:
    """The scope that both units are in or are, or None: the last method of a class and what follows it share none."""
    shared = ".".join(os.path.commonprefix([first.split("."), second.split(".")]))
    is_theirs = all(shared in (title, title.rpartition(".")[0]) for title in (first, second))
    return shared if is_theirs else None


@lru_cache(maxsize=64)
def _splitter(kind: DocumentKind, language: str | None, chunk_size: int, overlap: int) -> Any:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

    if kind == "markdown":
        return MarkdownSplitter(chunk_size, overlap=overlap)
    grammar = _grammar(language) if kind == "code" and language else None
    if grammar is not None:
        return CodeSplitter(grammar(), chunk_size, overlap=overlap)
    return TextSplitter(chunk_size, overlap=overlap)


def _grammar(language: str) -> Callable[[], Any] | None:
    """The tree-sitter grammar of a language where its package (tree-sitter-rust and the like) is installed."""
    name = f"tree_sitter_{language}"
    if find_spec(name) is None:
        return None
    module = import_module(name)
    # The TypeScript and PHP packages hold several grammars and name the function by the language.
    return getattr(module, "language", None) or getattr(module, f"language_{language}", None)
