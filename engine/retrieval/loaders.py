"""Load a folder, or one file, of documents; what can't be read is reported with its reason, and never fatal."""

from collections.abc import Callable, Iterator
from pathlib import Path

from rung.engine.retrieval.decoding import read_text
from rung.engine.retrieval.documents import Document, FileReport, UnreadableFile, clean_text, title_from_path
from rung.engine.retrieval.html_text import html_to_markdown
from rung.engine.retrieval.markdown_text import (
    first_heading,
    heading_sections,
    notebook_to_markdown,
    without_front_matter,
)
from rung.engine.retrieval.office import office_to_markdown
from rung.engine.retrieval.pdf_text import pdf_to_text
from rung.engine.retrieval.python_code import python_sections
from rung.engine.retrieval.scan import CODE_LANGUAGES, Format, SourceFile, scan
from rung.engine.retrieval.table_rows import row_documents


def load_documents(
    root: Path, *, text_column: str | None = None, title_column: str | None = None
) -> tuple[list[Document], list[FileReport]]:
    """All documents of a folder or file, in the order of their paths, and what could not be used. For small sets: an
    index is built file by file. Raises EngineError where `root` does not exist."""
    files, reports = scan(root)
    documents: list[Document] = []
    for file in files:
        try:
            documents += read_file(file, reports.append, text_column=text_column, title_column=title_column)
        except UnreadableFile as error:
            reports.append(FileReport(file.path, "failed", str(error)))
    return documents, reports


def read_file(
    file: SourceFile,
    report: Callable[[FileReport], None],
    *,
    text_column: str | None = None,
    title_column: str | None = None,
) -> Iterator[Document]:
    """The documents of one file: one, or one a row of a table. Raises UnreadableFile with the reason."""

    def note(reason: str) -> None:
        report(FileReport(file.path, "note", reason))

    def note_row(line: int, reason: str) -> None:
        report(FileReport(file.path, "skipped", reason, line))

    try:
        if file.format == "rows":
            yield from row_documents(
                file.absolute,
                file.path,
                text_column=text_column,
                title_column=title_column,
                note=note,
                note_row=note_row,
            )
        else:
            document = _READERS[file.format](file, note)
            if document.text.strip():
                yield document
            else:
                note("it has no text")
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error


def _read_plain(file: SourceFile, note: Callable[[str], None]) -> str:
    text, encoding_note = read_text(file.absolute, is_declared=file.format == "html")
    if encoding_note:
        note(encoding_note)
    return clean_text(text)


def _text(file: SourceFile, note: Callable[[str], None]) -> Document:
    return Document(file.path, file.path, _read_plain(file, note), title_from_path(file.path))


def _markdown(file: SourceFile, note: Callable[[str], None]) -> Document:
    text, title = without_front_matter(_read_plain(file, note))
    return _markdown_document(file, text, title)


def _html(file: SourceFile, note: Callable[[str], None]) -> Document:
    text, title = html_to_markdown(_read_plain(file, note))
    return _markdown_document(file, clean_text(text), title)


def _notebook(file: SourceFile, note: Callable[[str], None]) -> Document:
    return _markdown_document(file, notebook_to_markdown(_read_plain(file, note)), None)


def _office(file: SourceFile, note: Callable[[str], None]) -> Document:
    return _markdown_document(file, clean_text(office_to_markdown(file.absolute)), None)


def _markdown_document(file: SourceFile, text: str, title: str | None) -> Document:
    title = title or first_heading(text) or title_from_path(file.path)
    return Document(file.path, file.path, text, title, "markdown", sections=heading_sections(text))


def _pdf(file: SourceFile, note: Callable[[str], None]) -> Document:
    text, pages, title = pdf_to_text(file.absolute, note)
    return Document(
        file.path, file.path, text, title or title_from_path(file.path), sections=pages, metadata={"pages": len(pages)}
    )


def _python(file: SourceFile, note: Callable[[str], None]) -> Document:
    text = _read_plain(file, note)
    sections = python_sections(text)
    if sections is None:
        note("not valid Python: read as plain text")
    return Document(file.path, file.path, text, file.path, "code", "python", sections or ())


def _code(file: SourceFile, note: Callable[[str], None]) -> Document:
    language = CODE_LANGUAGES[file.absolute.suffix.lower()]
    return Document(file.path, file.path, _read_plain(file, note), file.path, "code", language)


_READERS: dict[Format, Callable[[SourceFile, Callable[[str], None]], Document]] = {
    "text": _text,
    "markdown": _markdown,
    "html": _html,
    "pdf": _pdf,
    "python": _python,
    "code": _code,
    "notebook": _notebook,
    "office": _office,
}
