"""What is in an index, file by file; small JSON beside the table, so that a screen reads it without LanceDB.

The order of writes makes a kill harmless. Before a build touches the table, the manifest names as `pending` every file
whose rows may change; a file moves from there to `files` once its rows are in the table. So after a kill at any point
the next build deletes what the pending files may have left, and adds them again.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.files import canonical_json, read_json, sha256_text, write_json_atomic
from rung.engine.retrieval.documents import FileReport

MANIFEST_NAME = "manifest.json"
FORMAT = 1  # raised when a table of the old kind could not be read or would rank otherwise


@dataclass(frozen=True)
class IndexedFile:
    """One file in the index. `digest` is a hash over its chunks' ids in order."""

    sha256: str
    chunks: int
    digest: str
    reports: list[FileReport] = field(default_factory=list)


@dataclass
class Manifest:
    """The state of an index. `is_building` from a build's first write to its last: set, the table is not to be used.

    `has_deletions`: rows were deleted since the full-text index was made.
    """

    fields: dict[str, Any]
    uri: str | None = None
    files: dict[str, IndexedFile] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    is_building: bool = False
    has_deletions: bool = False
    content_hash: str = ""

    @property
    def num_chunks(self) -> int:
        """Chunks of all files that are done."""
        return sum(file.chunks for file in self.files.values())

    def compute_content_hash(self) -> str:
        """Hex sha256 over the settings that decide the index and the ids of all chunks, in any order of building."""
        digests = [[path, file.digest] for path, file in sorted(self.files.items()) if file.chunks]
        return sha256_text(canonical_json({"format": FORMAT, "fields": self.fields, "files": digests}))

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values."""
        return {"format": FORMAT, "chunks": self.num_chunks, **asdict(self)}


def read_manifest(index_dir: Path) -> Manifest | None:
    """The manifest of the index in this folder, or None where there is none of this format."""
    path = index_dir / MANIFEST_NAME
    return manifest_from_json(read_json(path)) if path.exists() else None


def manifest_from_json(value: dict[str, Any]) -> Manifest | None:
    """The manifest in plain values as `to_json` gives them; None for another format."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        return None
    files = {path: _file_from_json(entry) for path, entry in value["files"].items()}
    known = ("fields", "uri", "pending", "is_building", "has_deletions", "content_hash")
    return Manifest(files=files, **{name: value[name] for name in known})


def write_manifest(index_dir: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    write_json_atomic(index_dir / MANIFEST_NAME, manifest.to_json())


def _file_from_json(entry: dict[str, Any]) -> IndexedFile:
    reports = [FileReport(**report) for report in entry["reports"]]
    return IndexedFile(entry["sha256"], entry["chunks"], entry["digest"], reports)
