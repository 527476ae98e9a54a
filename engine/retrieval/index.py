"""Search an index: BM25, dense or both fused by rank, in an order that never depends on how the index was built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.embedding import load_embedder
from rung.engine.retrieval.manifest import Manifest
from rung.engine.retrieval.settings import RetrievalKind, RetrievalSettings
from rung.engine.retrieval.store import IndexStore, index_fields

RRF_CONSTANT = 60  # Cormack, Clarke and Büttcher, SIGIR 2009
FUSED_DEPTH = 50  # candidates that hybrid search takes from each side, at least
SPARE = 8  # asked for beyond k, to see whether chunks of equal score go on past the k-th
MAX_TIED = 4096
MAX_QUERY_CHARACTERS = 8192  # of a longer query the beginning is used

Search = Callable[[int], list[tuple[Chunk, float]]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found; `rank` counts from 1. `score`: BM25, cosine, or the sum of reciprocal ranks."""

    chunk: Chunk
    score: float
    rank: int


class SearchIndex:
    """An open index: what it held when it was opened, whatever is built meanwhile."""

    def __init__(self, store: IndexStore, manifest: Manifest, settings: RetrievalSettings, embedder: Any) -> None:
        self.settings = settings
        self.content_hash = manifest.content_hash
        self.num_chunks = manifest.num_chunks
        self.num_files = len(manifest.files)
        self._table = store.table
        self._embedder = embedder

    def search(self, query: str, k: int | None = None, kind: RetrievalKind | None = None) -> list[Hit]:
        """The `k` best chunks (settings' k), best first; fewer, or none, where no word matches. Any text is safe.

        Equal scores are ordered by chunk id. Raises EngineError for a kind that this index was not built for.
        """
        query = query[:MAX_QUERY_CHARACTERS].encode("utf-8", "replace").decode().strip()
        wanted = self.settings.k if k is None else k
        if not query or wanted < 1 or not self.num_chunks:
            return []
        kind = kind or self.settings.kind
        if kind == "bm25":
            found = _best(self._words(query), wanted)
        elif kind == "dense":
            found = _best(self._vectors(query), wanted)
        else:
            depth = max(FUSED_DEPTH, 4 * wanted)
            found = _fused(_best(self._words(query), depth), _best(self._vectors(query), depth))[:wanted]
        return [Hit(chunk, score, rank) for rank, (chunk, score) in enumerate(found, start=1)]

    def chunks(self, ids: list[str]) -> dict[str, Chunk]:
        """Chunks by their ids; unknown ids are left out."""
        return self._table.by_ids(ids)

    def identity(self) -> dict[str, Any]:
        """What decides which chunks a question gets: goes into a candidate's identity. Nothing of where it is kept."""
        identity = {"index": self.content_hash, "kind": self.settings.kind, "k": self.settings.k}
        if self.settings.kind != "bm25":
            identity["query_prefix"] = self._embedder.query_prefix
        return identity

    def _words(self, query: str) -> Search:
        return lambda limit: self._table.by_words(query, limit)

    def _vectors(self, query: str) -> Search:
        if self._embedder is None:
            raise EngineError("This index has no vectors", hint="Set kind: hybrid or dense and build it again.")
        vector = self._embedder.embed_queries([query])[0]
        return lambda limit: self._table.by_vector(vector, limit) if vector.any() else []


def open_index(index_dir: Path, settings: RetrievalSettings) -> SearchIndex:
    """The index that `build_index` made with these settings (k may differ).

    Raises EngineError where there is none, where its build was interrupted, or where it was built with other settings.
    """
    hint = "Build the index again; only what is missing is read."
    if settings.uri is None and not index_dir.is_dir():
        raise EngineError(f"There is no index in {index_dir}", hint="Build it first.")
    store = IndexStore(index_dir, settings.uri)
    manifest = store.manifest()
    if manifest is None:
        raise EngineError(f"There is no index in {store.uri or index_dir}", hint="Build it first.")
    if manifest.is_building:
        raise EngineError(
            f"The index in {store.uri or index_dir} is not complete: its build was interrupted", hint=hint
        )
    embedder = load_embedder(settings)
    differing = _differing(manifest.fields, index_fields(settings, embedder))
    if differing:
        raise EngineError(
            f"The index in {store.uri or index_dir} was built with other settings", "\n".join(differing), hint
        )
    return SearchIndex(store, manifest, settings, embedder)


def _best(search: Search, wanted: int) -> list[tuple[Chunk, float]]:
    """The `wanted` best in one order for all: where the last place is tied, every tied chunk is looked at."""
    limit = wanted + SPARE
    found = search(limit)
    while len(found) == limit and limit < MAX_TIED and _rounded(found[-1]) == _rounded(found[wanted - 1]):
        limit = min(MAX_TIED, 4 * limit)
        found = search(limit)
    return sorted(found, key=lambda entry: (-_rounded(entry), entry[0].id))[:wanted]


def _rounded(entry: tuple[Chunk, float]) -> float:
    # The last bits of a 32-bit sum depend on the order of its terms.
    return round(entry[1], 5)


def _fused(words: list[tuple[Chunk, float]], vectors: list[tuple[Chunk, float]]) -> list[tuple[Chunk, float]]:
    """Reciprocal rank fusion: each list gives a chunk 1 / (60 + its rank)."""
    scores: dict[str, float] = {}
    chunks: dict[str, Chunk] = {}
    for found in (words, vectors):
        for rank, (chunk, _) in enumerate(found, start=1):
            chunks[chunk.id] = chunk
            scores[chunk.id] = scores.get(chunk.id, 0.0) + 1.0 / (RRF_CONSTANT + rank)
    ordered = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [(chunks[chunk_id], scores[chunk_id]) for chunk_id in ordered]


def _differing(built: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    names = sorted({*built, *wanted})
    return [
        f"{name}: built with {built.get(name)}, asked for {wanted.get(name)}"
        for name in names
        if built.get(name) != wanted.get(name)
    ]
