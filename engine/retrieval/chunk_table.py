"""The chunks in LanceDB: a local folder, or object storage by its URI (credentials from the environment only).

Choices measured on 1,190 questions over 240 passages (hit@1 / hit@5): stemming and stop words .937 / .988, neither
.920 / .985, ICU's tokenizer .930 / .988; titles before the text .945 / .991. Positions are left out: no phrase queries.
After `finish` the scores of an index that grew by parts are those of one built at once; where rows were deleted that
takes a new full-text index, because the old one goes on counting their words.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.background import wait_for
from rung.engine.retrieval.chunks import Chunk

TABLE = "chunks"
COLUMNS = ["id", "source", "start", "end", "page", "title", "content"]
PATHS_A_DELETE = 500  # paths in one filter expression
MAX_REASON = 600  # characters; object stores answer with pages
# Searches that began on an older version (an evaluation that goes on while documents are added) may finish on it.
KEEP_OLD_VERSIONS = timedelta(days=1)


class ChunkTable:
    """One table of chunks with its full-text index, and vectors where a dimension is given."""

    def __init__(self, uri: str) -> None:
        # Its warnings (a table is being created, a version was cleaned up) would land in a terminal that we draw on.
        os.environ.setdefault("LANCEDB_LOG", "error")
        try:
            import lancedb
        except ImportError:
            raise EngineError(
                "Retrieval needs LanceDB, which this Python lacks",
                hint="Install it beside Rung (pip install 'rung[train]'), or name another interpreter: worker_python.",
            ) from None

        self.uri = uri
        self._table: Any = None
        self._has_words = False
        with _said_by_the_store(uri):
            self._database = wait_for(lancedb.connect_async(uri))
            if self.has_table(TABLE):
                self._table = wait_for(self._database.open_table(TABLE))
                self._has_words = bool(wait_for(self._table.list_indices()))

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return self._table is not None

    def has_table(self, name: str) -> bool:
        """Whether the store has a table of this name."""
        return name in wait_for(self._database.list_tables(limit=None)).tables

    def create(self, dimension: int | None) -> None:
        """Start an empty table, in place of the one that is there."""
        import pyarrow as pa

        fields = [(name, pa.string()) for name in ("id", "path", "source", "title", "content")]
        fields += [(name, pa.int64()) for name in ("start", "end", "page")]
        if dimension is not None:
            fields.append(("vector", pa.list_(pa.float32(), dimension)))
        with _said_by_the_store(self.uri):
            self._table = wait_for(self._database.create_table(TABLE, schema=pa.schema(fields), mode="overwrite"))
        self._has_words = False

    def add(self, chunks: list[tuple[str, Chunk]], vectors: Any = None) -> None:
        """Append (path, chunk) rows; `vectors` is float32 [rows, dimension] where the table has them."""
        import pyarrow as pa

        columns: dict[str, Any] = {
            name: [getattr(chunk, name) for _, chunk in chunks]
            for name in ("id", "source", "start", "end", "page", "title")
        }
        columns["path"] = [path for path, _ in chunks]
        columns["content"] = [_prefix(chunk.title) + chunk.text for _, chunk in chunks]
        if vectors is not None:
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        with _said_by_the_store(self.uri):
            schema = wait_for(self._table.schema())
            wait_for(self._table.add(pa.table({name: columns[name] for name in schema.names}, schema=schema)))

    def delete_paths(self, paths: Iterable[str]) -> None:
        """Delete all rows of these files."""
        quoted = ["'" + path.replace("'", "''") + "'" for path in paths]
        with _said_by_the_store(self.uri):
            for start in range(0, len(quoted), PATHS_A_DELETE):
                wait_for(self._table.delete(f"path IN ({', '.join(quoted[start : start + PATHS_A_DELETE])})"))

    def finish(self, language: str, has_deletions: bool) -> None:
        """Bring the full-text index up to date with the rows, and compact what many small writes left."""
        with _said_by_the_store(self.uri):
            if wait_for(self._table.count_rows()) and (has_deletions or not self._has_words):
                wait_for(self._table.create_index("content", config=_full_text(language), replace=True))
                self._has_words = True
            wait_for(self._table.optimize(cleanup_older_than=KEEP_OLD_VERSIONS))

    def by_words(self, query: str, limit: int) -> list[tuple[Chunk, float]]:
        """Chunks and BM25 scores, best first; none where no word of the query is in the index. Any text is safe."""
        from lancedb.query import MatchQuery

        if not self._has_words:
            return []
        found = self._table.query().nearest_to_text(MatchQuery(query, "content"))
        rows = wait_for(found.select([*COLUMNS, "_score"]).limit(limit).to_arrow()).to_pylist()
        return [(_chunk(row), row["_score"]) for row in rows]

    def by_vector(self, vector: Any, limit: int) -> list[tuple[Chunk, float]]:
        """Chunks and cosine similarities, nearest first, over all rows (exact, so the same every time)."""
        found = self._table.query().nearest_to(vector).column("vector").distance_type("cosine")
        rows = wait_for(found.select([*COLUMNS, "_distance"]).limit(limit).to_arrow()).to_pylist()
        return [(_chunk(row), 1.0 - row["_distance"]) for row in rows]

    def by_ids(self, ids: list[str]) -> dict[str, Chunk]:
        """The chunks with these ids (hexadecimal)."""
        wanted = [f"'{chunk_id}'" for chunk_id in ids if chunk_id.isalnum()]
        if not wanted:
            return {}
        found = self._table.query().where(f"id IN ({', '.join(wanted)})").select(COLUMNS).limit(len(wanted))
        return {row["id"]: _chunk(row) for row in wait_for(found.to_arrow()).to_pylist()}

    def read_note(self, name: str) -> str | None:
        """A text kept beside the chunks under this name, or None."""
        with _said_by_the_store(self.uri):
            if not self.has_table(name):
                return None
            return str(wait_for(wait_for(self._database.open_table(name)).to_arrow())["text"][0].as_py())

    def delete_note(self, name: str) -> None:
        """Delete a text kept beside the chunks."""
        with _said_by_the_store(self.uri):
            wait_for(self._database.drop_table(name, ignore_missing=True))

    def write_note(self, name: str, text: str) -> None:
        """Keep a text beside the chunks, replaced in one step."""
        with _said_by_the_store(self.uri):
            wait_for(self._database.create_table(name, [{"text": text}], mode="overwrite"))


def _full_text(language: str) -> Any:
    from lancedb.index import FTS

    if language == "other":
        return FTS(base_tokenizer="icu", stem=False, remove_stop_words=False)
    return FTS(language=language)


def _prefix(title: str) -> str:
    return f"{title}\n" if title else ""


def _chunk(row: dict[str, Any]) -> Chunk:
    text = row["content"][len(_prefix(row["title"])) :]
    return Chunk(row["id"], row["source"], row["start"], row["end"], text, row["title"], row["page"])


@contextmanager
def _said_by_the_store(uri: str) -> Iterator[None]:
    """What LanceDB raises about a store (no access, no space, no such bucket) as an error that names it."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        hint = "Check the place, its free space and the access rights to it."
        raise EngineError(f"The index at {uri} can't be used", _without_keys(first)[:MAX_REASON], hint) from error


def _without_keys(message: str) -> str:
    """The message without the values of keys in the environment: a store's answer may quote them."""
    secrets = [value for name, value in os.environ.items() if re.search("KEY|TOKEN|SECRET", name) and len(value) >= 8]
    return re.sub("|".join(map(re.escape, secrets)), "***", message) if secrets else message
