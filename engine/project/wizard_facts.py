"""What the wizard's pages rest on, gathered from the project's files, and the advice that follows from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.ladder.advice import Advice, DataFacts, Evidence, MachineFacts, Reading, advise
from engine.ladder.board import BOARD_FILE, read_board
from engine.measure.intervals import Estimate
from engine.measure.split_record import is_frozen, read_splits

if TYPE_CHECKING:
    from engine.project.schema import ProjectSettings

MOST_DOCUMENTS = 100_000


@dataclass(frozen=True)
class Facts:
    """Rows by split, documents, the scoreboard ({} where nothing is measured), and the advice."""

    rows: Mapping[str, int]
    looks: int
    documents: int
    board: Mapping[str, Any]
    retrieval: Mapping[str, Any] | None
    advice: list[Advice]


def gather_facts(
    root: Path,
    project: "ProjectSettings",
    fits: Mapping[str, bool] | None = None,
    retrieval: Mapping[str, Any] | None = None,
) -> Facts:
    """The facts as the files have them now. `fits`: which ways of training fit; `retrieval`: an earlier measure."""
    rows, looks = _splits(root)
    board = read_board(root) if (root / BOARD_FILE).exists() else {}
    measured = board.get("retrieval") or retrieval
    documents = 0
    if project.documents is not None and project.documents.path is not None:
        documents = count_files(root / project.documents.path)
    data = DataFacts(
        train_rows=rows.get("train", 0),
        test_rows=rows.get("test", 0),
        preference_pairs=rows.get("train", 0) if "preference" in project.situation.wants else 0,
        documents=documents,
        has_bigger_model=bool(project.endpoints),
        learning_curve=tuple((rows, score) for rows, score in board.get("learning_curve") or []),
        more_is_better=bool(board.get("more_is_better", True)),
    )
    advice = advise(
        project.situation.wants, data, MachineFacts(dict(fits or {})), _evidence(board, measured), project.target
    )
    return Facts(rows, looks, documents, board, measured, advice)


def count_files(folder: Path) -> int:
    """The files below a folder, hidden ones aside, counted up to 100,000; 1 for a file, 0 for what isn't there."""
    if folder.is_file():
        return 1
    found = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += sum(not name.startswith(".") for name in files)
        if found >= MOST_DOCUMENTS:
            break
    return found


def _splits(root: Path) -> tuple[dict[str, int], int]:
    if not is_frozen(root):
        return {}, 0
    try:
        record = read_splits(root)
    except EngineError:
        return {}, 0  # The data page's check says what is wrong with it.
    return {name: split.rows for name, split in record.splits.items()}, len(record.looks)


def _evidence(board: Mapping[str, Any], retrieval: Mapping[str, Any] | None) -> Evidence:
    found: dict[str, Estimate] = {}
    for row in board.get("scoreboard") or []:
        if row.get("chosen"):
            found[str(row["rung"])] = Estimate(row["score"], row["low"], row["high"], row["n"])
    reading = None
    if retrieval is not None:
        reading = Reading(
            retrieval["questions"],
            retrieval["found"],
            retrieval["right_when_found"],
            retrieval["right_with_gold_alone"],
        )
    return Evidence(found.get("prompt"), found.get("rag"), found.get("tune"), reading)
