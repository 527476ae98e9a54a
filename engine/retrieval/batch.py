"""Chunks on their way into the table, written many at a time; the manifest follows each write."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rung.engine.retrieval.chunks import Chunk, chunk_documents
from rung.engine.retrieval.documents import Document, FileReport, UnreadableFile
from rung.engine.retrieval.loaders import read_file
from rung.engine.retrieval.manifest import IndexedFile, Manifest
from rung.engine.retrieval.scan import SourceFile
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.retrieval.store import IndexStore

CHUNKS_A_WRITE = 20_000  # every write makes a file in the table
EMBEDDED_CHUNKS_A_WRITE = 1_000  # what is lost when a build that embeds is killed


class Batch:
    """Collects chunks; `write` puts them into the table, then moves finished files from pending to done."""

    def __init__(self, store: IndexStore, manifest: Manifest, settings: RetrievalSettings, embedder: Any) -> None:
        self._store = store
        self._manifest = manifest
        self._settings = settings
        self._embedder = embedder
        self._limit = CHUNKS_A_WRITE if embedder is None else EMBEDDED_CHUNKS_A_WRITE
        self._rows: list[tuple[str, Chunk]] = []
        self._written: set[str] = set()
        self._finished: dict[str, IndexedFile] = {}

    def add_file(self, file: SourceFile, sha256: str, progress: Callable[[int], None]) -> None:
        """Read, cut and collect one file; `progress` is given its bytes read so far. Raises UnreadableFile."""
        reports: list[FileReport] = []
        stamp = _stamp(file.absolute)
        documents = read_file(
            file,
            reports.append,
            text_column=self._settings.text_column,
            title_column=self._settings.title_column,
        )
        counted = _counted(documents, file.size, progress)
        digest = hashlib.sha256()
        num_chunks = 0
        for chunk in chunk_documents(counted, chunk_size=self._settings.chunk_size, overlap=self._settings.overlap):
            digest.update(chunk.id.encode())
            num_chunks += 1
            self._rows.append((file.path, chunk))
            if len(self._rows) >= self._limit:
                self.write()
        if _stamp(file.absolute) != stamp:
            raise UnreadableFile("it changed while it was read: build again")
        self._finished[file.path] = IndexedFile(sha256, num_chunks, digest.hexdigest(), reports)

    def drop_file(self, path: str) -> None:
        """Take back what was collected, or already written, of a file that could not be read to its end."""
        self._rows = [row for row in self._rows if row[0] != path]
        if path in self._written:
            self._manifest.has_deletions = True
            self._store.save(self._manifest)
            self._store.table.delete_paths([path])

    def write(self) -> None:
        """Put the collected chunks into the table and say so in the manifest."""
        if self._rows:
            vectors = None
            if self._embedder is not None:
                vectors = self._embedder.embed_documents([_embedded_text(chunk) for _, chunk in self._rows])
            self._store.table.add(self._rows, vectors)
            self._written.update(path for path, _ in self._rows)
            self._rows = []
        if self._finished:
            self._manifest.files.update(self._finished)
            self._manifest.pending = [path for path in self._manifest.pending if path not in self._finished]
            self._finished = {}
            self._store.save(self._manifest)


def _embedded_text(chunk: Chunk) -> str:
    return f"{chunk.title}\n{chunk.text}" if chunk.title else chunk.text


def _counted(documents: Iterator[Document], size: int, progress: Callable[[int], None]) -> Iterator[Document]:
    """The same documents; a table of rows tells how far it is, a hundred times at most."""
    read = told = 0
    for document in documents:
        yield document
        read += len(document.text)
        if read - told >= size / 100:
            told = read
            progress(min(read, size))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error
    return stat.st_size, stat.st_mtime_ns
