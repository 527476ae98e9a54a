"""What a loader gives: documents with the places inside them, and what could not be used and why."""

from dataclasses import dataclass, field
from typing import Any, Literal

from rung.engine.core.files import sha256_text

DocumentKind = Literal["text", "markdown", "code"]


@dataclass(frozen=True, slots=True)
class Section:
    """A named stretch of a document, [start, end) in characters: a heading's text, a function, a page."""

    start: int
    end: int
    title: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One text to search. `source` is the file's relative path, with `#line` for a row of a table."""

    source: str
    path: str
    text: str
    title: str = ""
    kind: DocumentKind = "text"
    language: str | None = None
    sections: tuple[Section, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hex sha256 of the text."""
        return sha256_text(self.text)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a reader must know of a file: `note` it was used, `skipped` on purpose, `failed` it could not be read."""

    path: str
    level: Literal["note", "skipped", "failed"]
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{where}: {self.reason}"


class UnreadableFile(Exception):
    """A file has nothing to index; its text says why. Loaders raise it, the caller reports it and goes on."""


def clean_text(text: str) -> str:
    """`text` with \\n line ends, without NUL, and with lone surrogates replaced, so that it can be stored as UTF-8."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def title_from_path(path: str) -> str:
    """A file's name as words: `guides/annual-report_2024.txt` gives `annual report 2024`."""
    name = path.rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0] or name
    return " ".join(stem.replace("-", " ").replace("_", " ").split())
