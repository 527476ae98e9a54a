"""rung scoreboard: every candidate on the held-out rows, and the verdict."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rung.tui.commands.output import Progress, print_json, print_table
from rung.tui.text.words import figure, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung scoreboard` takes."""
    parser.add_argument("--json", action="store_true", help="print it as one JSON value")
    parser.add_argument(
        "--refreeze", metavar="REASON", help="accept held-out rows that were changed; starts a new scoreboard"
    )


def run(args: argparse.Namespace) -> int:
    """Print the scoreboard as it was last written; nothing is computed."""
    from rung.engine.ladder.board import read_board
    from rung.engine.ladder.board_words import headline_of, held_out_words
    from rung.engine.ladder.break_even import break_even_lines
    from rung.engine.ladder.climb_state import read_climb
    from rung.engine.ladder.report import gain_lines, judge_sentence
    from rung.engine.training.probe.forgot import forgot_words
    from rung.tui.commands.project import current_root
    from rung.tui.text.climbs import climb_headline, has_verdict, rung_lines

    root = current_root()
    if args.refreeze is not None:
        return _refreeze(args.refreeze)
    board, climb = read_board(root), read_climb(root)
    if not has_verdict(board, climb):
        board |= {"verdict": None}
    if args.json:
        print_json(board)
        return 0
    if board["verdict"] is None:
        print(climb_headline(climb))
        for line in rung_lines(climb) if climb is not None else []:
            print(f"  {line}")
        print()
    if not board["scoreboard"]:
        print("Nothing is measured on the held-out examples yet.")
        return 0
    print_rows(board["scoreboard"])
    print(f"\n{board['metric']} on {held_out_words(board)}")
    for row in board["scoreboard"]:
        if row.get("leaked"):
            print(f"not counted: {printable(row['label'])} {printable(row['leaked'])}")
        if row.get("refused"):
            print(f"refused: {printable(row['label'])}: {row['refused']} of {row['n']} rows, counted as wrong")
        if (words := forgot_words(row)) is not None:
            print(f"forgot: {printable(row['label'])}: {printable(words)}")
    if board.get("judge"):
        print(printable(judge_sentence(board["judge"])))
        for row in board["scoreboard"]:
            if row.get("judge"):
                print(f"  {row['candidate']}: {row['judge']['words']}")
    if board["verdict"] is None:
        return 0
    print(f"verdict: {board['verdict']['rung']}\n{headline_of(board['verdict'])}.")
    for reason in board["verdict"]["reasons"]:
        print(f"  {printable(reason)}")
    for line in [*gain_lines(board.get("gains") or []), *break_even_lines(board)]:
        print(f"  {printable(line)}")
    return 0


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of a scoreboard, or of an evaluation on other rows, as a table."""
    header = ["rung", "candidate", "label", "score", "95 % interval", "n", "tokens", "latency", "cut off"]
    print_table(header, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["rung"],
        row["candidate"],
        printable(row["label"]),
        f"{row['score']:.3f}",
        f"{row['low']:.3f} to {row['high']:.3f}",
        str(row["n"]),
        f"{figure(row.get('tokens_in'))} + {figure(row.get('tokens_out'))}",
        f"{figure(row['latency_s'], 2)} s" if row.get("latency_s") is not None else "–",
        str(row.get("truncated", "–")),
    ]


def _refreeze(reason: str) -> int:
    from rung.engine.project.load import load_project
    from rung.engine.splits.make import refreeze
    from rung.tui.commands.project import current_root

    root = current_root()
    generation = refreeze(root, load_project(root).data.test, reason)
    Progress().line(f"the held-out rows are frozen as they are now; scoreboard {generation} begins")
    return 0
