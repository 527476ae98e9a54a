"""Running text for continued pretraining: rows or documents, cut into windows so that none of it is lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.data.columns import Reading
from rung.engine.data.encode import Encoded, encode, stop_ids
from rung.engine.data.read import Problem, Row, data_kind
from rung.engine.data.report import LoadedData, checked, make_report
from rung.engine.data.shaped import FileRows, ShapedRows, learnable, read_shaped
from rung.engine.data.shapes import Example, Passage
from rung.engine.data.template import TurnsRefused
from rung.engine.recipe.data_needs import METHOD_SHAPES
from rung.engine.retrieval.loaders import load_documents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANY_LENGTH = 1 << 30
_SHORTEST = 2
"""Tokens: the first one of a window is never predicted."""


def load_running_text(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    max_length: int = 1024,
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All text of `path`, every token learned, in windows of at most `max_length` tokens.

    `path` is a data file (text rows; chats are taken as their template writes them), a document, or a folder of either.
    Windows of one text are near equal in length and stay together when rows are held out.
    """
    read, texts, problems, notes = _read(path, shape, columns or {})
    windows: list[Encoded] = []
    owners: list[Example] = []
    lengths: list[int] = []
    for text in texts:
        try:
            whole = encode(text, tokenizer, _ANY_LENGTH, "all", template_args)
        except TurnsRefused as error:
            problems.append(read.problem(text, "chat template", error.reason))
            continue
        lengths.append(whole.tokens)
        if whole.tokens < _SHORTEST:
            problems.append(read.problem(text, "text", "is a single token"))
            continue
        pieces = windows_of(whole, max_length)
        windows += pieces
        owners += [text] * len(pieces)
    if len(windows) > len(texts):
        notes.append(f"{len(texts)} texts are cut into {len(windows)} windows of at most {max_length} tokens")
    report = make_report(read, texts, windows, problems, stop_ids(tokenizer), notes, lengths)
    return LoadedData(owners, windows, checked(path, report))


def windows_of(whole: Encoded, max_length: int) -> list[Encoded]:
    """Near equal, consecutive parts of a text's tokens, none longer than `max_length`."""
    number = -(-whole.tokens // max_length)
    edges = [round(whole.tokens * at / number) for at in range(number + 1)]
    return [
        replace(whole, input_ids=whole.input_ids[low:high], labels=whole.labels[low:high], full_length=high - low)
        for low, high in zip(edges, edges[1:], strict=False)
    ]


def is_documents(path: Path) -> bool:
    """Whether a path holds documents rather than data rows."""
    if path.is_dir():
        return not any(data_kind(file) is not None for file in path.rglob("*") if file.is_file())
    return path.is_file() and data_kind(path) is None


def _read(
    path: Path, shape: str, columns: dict[str, str]
) -> tuple[ShapedRows, Sequence[Example], list[Problem], list[str]]:
    """The rows, or documents as one row each; what there is to learn of them, the problems, and notes."""
    if is_documents(path):
        documents, reports = load_documents(path)
        problems = [Problem(item.line or 0, "", item.reason, item.path) for item in reports if item.level != "note"]
        reading = Reading("documents", {"text": "text"})
        files = [
            FileRows(document.path, [Row({"text": document.text}, document.path, 1)], reading, [])
            for document in documents
        ]
        texts = [Passage(document.text, document.path, 1) for document in documents]
        return ShapedRows(files, problems), texts, [*problems], []
    read = read_shaped(path, shape, columns)
    return read, *learnable(path, read, shape, METHOD_SHAPES["cpt"])
