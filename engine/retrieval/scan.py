"""The files of a documents folder, each with its format, and what is left out and why."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.decoding import looks_binary
from rung.engine.retrieval.documents import FileReport
from rung.engine.retrieval.table_rows import is_array_of_objects

Format = Literal["text", "markdown", "html", "pdf", "python", "code", "rows", "notebook", "office"]
FORMATS: dict[str, Format] = {
    **dict.fromkeys((".md", ".markdown", ".mdx", ".mkd"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".jsonl", ".ndjson", ".csv", ".tsv"), "rows"),
    **dict.fromkeys((".docx", ".xlsx", ".pptx"), "office"),
    **dict.fromkeys((".py", ".pyi"), "python"),
    ".pdf": "pdf",
    ".ipynb": "notebook",
}
CODE_LANGUAGES = {
    ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".cs": "c_sharp", ".go": "go",
    ".java": "java", ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".kt": "kotlin", ".lua": "lua",
    ".php": "php", ".pl": "perl", ".r": "r", ".rb": "ruby", ".rs": "rust", ".scala": "scala", ".sh": "bash",
    ".sql": "sql", ".swift": "swift", ".ts": "typescript", ".tsx": "typescript",
}  # fmt: skip
UNMENTIONED_FOLDERS = {"__pycache__"}  # beside every folder of Python code; never documents
SKIPPED_FOLDERS = {"node_modules", "site-packages"}
MAX_TEXT_BYTES = 256 * 2**20  # read in one piece; tables of rows are streamed and have no limit


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to load: `path` relative to the documents' folder, with `/`."""

    path: str
    absolute: Path
    format: Format
    size: int


def scan(root: Path, exclude: Path | None = None) -> tuple[list[SourceFile], list[FileReport]]:
    """The files to load, sorted by path, and those left out with the reason; nothing is said of the folder `exclude`.

    Raises EngineError where `root` does not exist.
    """
    if not root.exists():
        raise EngineError(f"There are no documents at {root}", hint="Give a folder or a file of documents.")
    files: list[SourceFile] = []
    reports: list[FileReport] = []
    for absolute, path in [(root, root.name)] if root.is_file() else _walk(root, exclude, reports.append):
        try:
            found = _source_file(absolute, path)
        except OSError as error:
            found = FileReport(path, "failed", error.strerror or str(error))
        if isinstance(found, SourceFile):
            files.append(found)
        else:
            reports.append(found)
    return sorted(files, key=lambda file: file.path), reports


def _walk(root: Path, exclude: Path | None, report: Callable[[FileReport], None]) -> Iterator[tuple[Path, str]]:
    def failed(error: OSError) -> None:
        report(FileReport(Path(error.filename).relative_to(root).as_posix(), "failed", error.strerror or str(error)))

    for folder, names, filenames in os.walk(root, onerror=failed):
        for name in sorted(names):
            absolute = Path(folder, name)
            if name in UNMENTIONED_FOLDERS or (exclude is not None and absolute.resolve() == exclude.resolve()):
                names.remove(name)
            elif reason := _folder_reason(absolute):
                names.remove(name)
                report(FileReport(absolute.relative_to(root).as_posix() + "/", "skipped", reason))
        for name in filenames:
            absolute = Path(folder, name)
            yield absolute, _stored_name(absolute.relative_to(root).as_posix())


def _stored_name(path: str) -> str:
    # File names are bytes; those that are not UTF-8 come as lone surrogates, which no file of ours could hold.
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _folder_reason(folder: Path) -> str | None:
    if folder.name.startswith("."):
        return "hidden folder"
    if folder.name in SKIPPED_FOLDERS:
        return "a folder of installed code"
    return "a link to another folder" if folder.is_symlink() else None


def _source_file(absolute: Path, path: str) -> SourceFile | FileReport:
    if absolute.name.startswith("."):
        return FileReport(path, "skipped", "hidden file")
    if not absolute.is_file():
        return FileReport(path, "skipped", "not a regular file")
    size = absolute.stat().st_size
    suffix = absolute.suffix.lower()
    found: Format = FORMATS.get(suffix, "code" if suffix in CODE_LANGUAGES else "text")
    if suffix == ".json" and is_array_of_objects(absolute):
        found = "rows"
    if found not in ("pdf", "office") and looks_binary(absolute):
        return FileReport(path, "skipped", f"binary file ({suffix or 'no suffix'})")
    if found != "rows" and size > MAX_TEXT_BYTES:
        return FileReport(path, "skipped", f"larger than {MAX_TEXT_BYTES >> 20} MiB: split it, or make it JSONL")
    return SourceFile(path, absolute, found, size)
