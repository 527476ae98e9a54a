"""What decides which passages a question gets; a person writes it in rung.yaml under `documents:`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

RetrievalKind = Literal["bm25", "dense", "hybrid"]
# The languages whose stemmer and stop words LanceDB has; `other` cuts words by Unicode's dictionaries (Chinese,
# Japanese, Thai need that) and changes nothing else.
Language = Literal[
    "Arabic", "Danish", "Dutch", "English", "Finnish", "French", "German", "Greek", "Hungarian", "Italian", "Norwegian",
    "Portuguese", "Romanian", "Russian", "Spanish", "Swedish", "Tamil", "Turkish", "other",
]  # fmt: skip


class RetrievalSettings(BaseModel):
    """Documents, how they are cut and how they are searched. Frozen: `settings.model_copy(update={"k": 5})`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())

    path: str | None = Field(None, description="the folder, or one file, of documents; relative to the project")
    text_column: str | None = Field(
        None, description="JSONL and CSV: the column to search; null: found by name or length"
    )
    title_column: str | None = Field(None, description="JSONL and CSV: the column with titles; null: found by name")
    chunk_size: Annotated[int, Field(ge=50, le=100_000)] = Field(800, description="characters of one chunk at most")
    overlap: Annotated[int, Field(ge=0)] = Field(0, description="characters that neighbouring chunks may share")
    k: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="chunks that go into the prompt")
    kind: RetrievalKind = Field(
        "bm25", description="bm25: by words, no download; dense: by meaning; hybrid: both, fused by rank (RRF)"
    )
    language: Language = Field("English", description="whose stemming and stop words bm25 uses; other: none")
    embedding_model: str | None = Field(
        None, description="a folder or hub id; needed by dense and hybrid, and never fetched unless it is named"
    )
    query_prefix: str | None = Field(
        None, description="put before a question when it is embedded; null: what the model's own files say"
    )
    document_prefix: str | None = Field(
        None, description="put before a chunk when it is embedded; null: what the model's own files say"
    )
    uri: str | None = Field(
        None, description="where the table lives, for example s3://bucket/folder; null: the project's index folder"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "RetrievalSettings":
        if self.overlap >= self.chunk_size:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than chunk_size ({self.chunk_size})")
        if self.kind != "bm25" and self.embedding_model is None:
            raise ValueError(f"kind {self.kind} needs an embedding_model: a folder or a hub id")
        return self

    def index_fields(self) -> dict[str, Any]:
        """The part that decides which chunks there are (not k, and not where they are kept)."""
        return self.model_dump(include={"text_column", "title_column", "chunk_size", "overlap", "language"})
