"""Where an index lives: the table at a URI (by default in the index folder), and its manifest."""

import json
from pathlib import Path
from typing import Any

from rung.engine.core.files import canonical_json
from rung.engine.retrieval.chunk_table import ChunkTable
from rung.engine.retrieval.manifest import MANIFEST_NAME, Manifest, manifest_from_json, read_manifest, write_manifest
from rung.engine.retrieval.settings import RetrievalSettings

MANIFEST_NOTE = "manifest"


class IndexStore:
    """The table and the manifest. On object storage the manifest is kept beside the table as well, so that another
    machine finds it there; the copy in the index folder is for readers without LanceDB."""

    def __init__(self, index_dir: Path, uri: str | None) -> None:
        self.uri = uri
        self._index_dir = index_dir
        self.table = ChunkTable(str(index_dir) if uri is None else uri)

    def manifest(self) -> Manifest | None:
        """The manifest of the table that is there, or None where either is missing or they are not of one kind."""
        if not self.table.exists:
            return None
        if self.uri is None:
            found = read_manifest(self._index_dir)
        else:
            note = self.table.read_note(MANIFEST_NOTE)
            found = manifest_from_json(json.loads(note)) if note else None
        return found if found is not None and found.uri == self.uri else None

    def start(self, manifest: Manifest, dimension: int | None) -> None:
        """Begin an empty index. Without a manifest first: a kill in between must not leave old rows under a new one."""
        (self._index_dir / MANIFEST_NAME).unlink(missing_ok=True)
        if self.uri is not None:
            self.table.delete_note(MANIFEST_NOTE)
        self.table.create(dimension)
        self.save(manifest)

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, in the store first."""
        if self.uri is not None:
            self.table.write_note(MANIFEST_NOTE, canonical_json(manifest.to_json()))
        write_manifest(self._index_dir, manifest)


def index_fields(settings: RetrievalSettings, embedder: Any) -> dict[str, Any]:
    """What decides the content of an index: the settings' part, and the hash of the embedding model's files."""
    fields = settings.index_fields()
    if embedder is not None:
        fields |= {"embedding_model": embedder.identity, "document_prefix": embedder.document_prefix}
    return fields
