"""Build an index, or bring it up to date: only files that are new, changed or gone are touched."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import sha256_file
from rung.engine.jobs.lock import try_lock
from rung.engine.retrieval.batch import Batch
from rung.engine.retrieval.documents import FileReport, UnreadableFile
from rung.engine.retrieval.embedding import EmbeddingModel, load_embedder
from rung.engine.retrieval.manifest import Manifest
from rung.engine.retrieval.scan import SourceFile, scan
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.retrieval.store import IndexStore, index_fields

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuildReport:
    """What a build did: files by fate, what could not be used, and the index that came out."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    reports: list[FileReport]
    num_files: int
    num_chunks: int
    content_hash: str
    seconds: float


def build_index(
    documents: Path, index_dir: Path, settings: RetrievalSettings, progress: Progress | None = None
) -> BuildReport:
    """Make the index of `documents` (a folder or a file) in `index_dir` what the settings and the files say.

    `progress(done, total)` counts bytes of the files that have to be read. Killed at any point, the next call goes on.
    Raises EngineError without documents, when another process builds here, or when the store can't be used.
    """
    started = time.monotonic()
    files, reports = scan(documents, exclude=index_dir)
    index_dir.mkdir(parents=True, exist_ok=True)
    lock = try_lock(index_dir / "lock")
    if lock is None:
        raise EngineError(f"Another process is building the index in {index_dir}", hint="Wait until it is done.")
    try:
        hashes = _hashes(files, reports)
        store = IndexStore(index_dir, settings.uri)
        embedder = load_embedder(settings)
        manifest = _manifest(store, settings, embedder)
        added, changed, removed = _difference(manifest, hashes)
        if manifest.is_building or added or changed or removed:
            to_read = [file for file in files if file.path in {*added, *changed}]
            _start(store, manifest, {*added, *changed, *removed})
            _read(to_read, hashes, reports, Batch(store, manifest, settings, embedder), progress or _silent)
            _finish(store, manifest, settings)
    finally:
        lock.release()
    reports += [report for file in manifest.files.values() for report in file.reports]
    return BuildReport(
        added=added,
        changed=changed,
        removed=removed,
        unchanged=len(hashes) - len(added) - len(changed),
        reports=sorted(reports, key=lambda report: (report.path, report.line or 0)),
        num_files=len(manifest.files),
        num_chunks=manifest.num_chunks,
        content_hash=manifest.content_hash,
        seconds=time.monotonic() - started,
    )


def _manifest(store: IndexStore, settings: RetrievalSettings, embedder: EmbeddingModel | None) -> Manifest:
    """The manifest to go on from: the one that is there if it was built with the same settings, else an empty one."""
    fields = index_fields(settings, embedder)
    found = store.manifest()
    if found is not None and found.fields == fields:
        return found
    manifest = Manifest(fields=fields, uri=settings.uri, is_building=True)
    store.start(manifest, embedder.dimension if embedder is not None else None)
    return manifest


def _difference(manifest: Manifest, hashes: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Paths that are new, changed and gone since the manifest was written."""
    added = [path for path in hashes if path not in manifest.files]
    changed = [path for path in hashes if path in manifest.files and manifest.files[path].sha256 != hashes[path]]
    removed = [path for path in manifest.files if path not in hashes]
    return added, changed, removed


def _start(store: IndexStore, manifest: Manifest, touched: set[str]) -> None:
    """Say in the manifest what will change, then delete the rows of those files."""
    stale = {path for path in touched if path in manifest.files} | set(manifest.pending)
    for path in stale:
        manifest.files.pop(path, None)
    manifest.pending = sorted(stale | touched)
    manifest.is_building = True
    manifest.has_deletions = manifest.has_deletions or bool(stale)
    store.save(manifest)
    store.table.delete_paths(sorted(stale))


def _read(
    files: list[SourceFile], hashes: dict[str, str], reports: list[FileReport], batch: Batch, progress: Progress
) -> None:
    total = sum(file.size for file in files)
    done = 0
    for file in files:
        try:
            batch.add_file(file, hashes[file.path], partial(_progress_in_file, progress, done, total))
        except UnreadableFile as error:
            reports.append(FileReport(file.path, "failed", str(error)))
            batch.drop_file(file.path)
        done += file.size
        progress(done, total)
    batch.write()


def _finish(store: IndexStore, manifest: Manifest, settings: RetrievalSettings) -> None:
    store.table.finish(settings.language, manifest.has_deletions)
    manifest.pending = []
    manifest.is_building = False
    manifest.has_deletions = False
    manifest.content_hash = manifest.compute_content_hash()
    store.save(manifest)


def _hashes(files: list[SourceFile], reports: list[FileReport]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for file in files:
        try:
            hashes[file.path] = sha256_file(file.absolute)
        except OSError as error:
            reports.append(FileReport(file.path, "failed", error.strerror or str(error)))
    return hashes


def _progress_in_file(progress: Progress, before: int, total: int, read: int) -> None:
    progress(before + read, total)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
