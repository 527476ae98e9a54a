"""What the wizard's pages rest on, gathered from the project's files, and the advice that follows from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.ladder.advice import advise
from rung.engine.ladder.advice_facts import (
    Advice,
    DataFacts,
    Evidence,
    LearningGain,
    MachineFacts,
    Reading,
    verdict_facts,
)
from rung.engine.ladder.board import read_board
from rung.engine.ladder.board_file import BOARD_FILE
from rung.engine.ladder.reach import reach_notes
from rung.engine.splits.split_record import is_frozen, read_splits
from rung.engine.stats.intervals import Estimate

if TYPE_CHECKING:
    from rung.engine.project.schema import ProjectSettings

MOST_DOCUMENTS = 100_000
HOLD_OUT_MORE = "Hold out more rows before you measure, or expect less of the score."


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
        more_is_better=bool(board.get("more_is_better", True)),
    )
    evidence = _evidence(board, _reading(measured, project))
    advice = advise(project.situation.wants, data, MachineFacts(dict(fits or {})), evidence, project.target)
    if board and board.get("verdict") is None:
        advice = []  # A climb goes on, or was broken off: nothing follows from half of it.
    elif evidence.verdict is None:
        short = [Advice("more_examples", HOLD_OUT_MORE, note) for note in reach_notes(root, project)]
        advice = [*short, *advice]
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


def _evidence(board: Mapping[str, Any], reading: Reading | None) -> Evidence:
    """What the scoreboard measured; a board without a rung (only models behind endpoints) has no verdict."""
    rows = [row for row in board.get("scoreboard") or [] if not row.get("leaked")]
    verdict = verdict_facts(board["verdict"]) if rows and board.get("verdict") else None
    speaks = verdict.candidate if verdict is not None else None
    bigger = [row for row in rows if row.get("endpoint") and row["candidate"] != speaks]
    own = [row for row in rows if row not in bigger]
    better = max if board.get("more_is_better", True) else min
    found: dict[str, Estimate] = {}
    for rung in ("prompt", "rag", "tune"):
        of_rung = [row for row in own if row["rung"] == rung]
        # The verdict's own candidate, else the one chosen on the validation rows, else the best.
        named = [row for row in of_rung if row["candidate"] == speaks]
        if speaking := named or [row for row in of_rung if row.get("chosen")] or of_rung:
            found[rung] = _estimate(better(speaking, key=_score))
    gain, bounds = board.get("learning_gain"), board.get("bounds")
    return Evidence(
        found.get("prompt"),
        found.get("rag"),
        found.get("tune"),
        verdict,
        reading,
        LearningGain(**gain) if gain else None,
        board.get("margin", 0.02),
        _estimate(better(bigger, key=_score)) if bigger else None,
        (bounds[0], bounds[1]) if bounds else None,
        frozenset((board.get("held_out") or {}).get("corrected_for") or {}),
    )


def _score(row: Mapping[str, Any]) -> float:
    return float(row["score"])


def _estimate(row: Mapping[str, Any]) -> Estimate:
    claim = (row["claim_low"], row["claim_high"]) if "claim_low" in row else None
    return Estimate(row["score"], row["low"], row["high"], row["n"], claim=claim)


def _reading(retrieval: Mapping[str, Any] | None, project: "ProjectSettings") -> Reading | None:
    """What became of the questions.

    Where the rows name their passages, all are taken to be in the documents. Where only the answer's text is known,
    that it stands in a document says something only if facts are wanted; older scoreboards did not look for it.
    """
    if retrieval is None:
        return None
    questions, wants = retrieval["questions"], project.situation.wants
    in_documents = questions
    if project.data.gold is None:
        in_documents = retrieval.get("in_documents") if not wants or "facts" in wants else None
    return Reading(
        questions,
        retrieval["found"],
        retrieval["right_when_found"],
        retrieval["right_with_gold_alone"],
        in_documents,
        retrieval.get("retrieved"),
    )
