"""Word, Excel and PowerPoint files through markitdown, an optional extra."""

import zipfile
from importlib import import_module
from pathlib import Path

from rung.engine.retrieval.documents import UnreadableFile


def office_to_markdown(path: Path) -> str:
    """The file as Markdown. Raises UnreadableFile where markitdown is missing or can't read it."""
    try:
        markitdown = import_module("markitdown")
    except ImportError:
        raise UnreadableFile(
            f"{path.suffix} files need the extra `office`: pip install 'rung[office]' (or save it as PDF or text)"
        ) from None
    if not _is_office_archive(path):
        # Given anything else, markitdown would guess, and take the bytes for text.
        raise UnreadableFile(f"not a {path.suffix} file, or a damaged one")
    try:
        return str(markitdown.MarkItDown(enable_plugins=False).convert_local(path).text_content)
    except markitdown.MarkItDownException as error:
        raise UnreadableFile(f"markitdown can't read it ({str(error).splitlines()[0]})") from error


def _is_office_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "[Content_Types].xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False
