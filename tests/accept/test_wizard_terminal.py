"""The whole wizard by its keys in a real terminal: left in the middle, gone on with, up to the verdict."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import load_wizard
from rung.engine.project.load import load_project
from tests.helpers.program import PROGRAM
from tests.helpers.terminal import Terminal

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
PATIENCE = 900.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    names = {"XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
    return {"HOME": str(home)} | {name: str(home / folder) for name, folder in names.items()}


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def open_wizard(terminals: list[Terminal], root: Path, environment: dict[str, str], size: tuple[int, int]) -> Terminal:
    command = [sys.executable, "-P", str(PROGRAM), "-C", str(root)]
    terminal = Terminal(root / f"tmux-{len(terminals)}", command, size, environment)
    terminals.append(terminal)
    terminal.wait_for("runs")
    terminal.keys("w")
    terminal.wait_for("Why here")
    return terminal


def measured(root: Path, rung: str) -> bool:
    board = root / "scoreboard.json"
    return board.exists() and rung in [row["rung"] for row in json.loads(board.read_text())["scoreboard"]]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["wide", "narrow"])
def test_the_whole_wizard_with_the_terminal_lost_in_the_middle(
    size: tuple[int, int], tmp_path: Path, environment: dict[str, str], terminals: list[Terminal]
) -> None:
    root = make_demo("format", tmp_path / "demo")
    first = open_wizard(terminals, root, environment, size)
    # Situation: a second want. Tab goes into its list, space marks the first line.
    first.wait_for("[1 situation")
    first.keys("Tab", "Space")
    first.wait_for("[x] facts")
    first.keys("]")
    first.wait_for("[2 model")
    first.wait_for("parameters")
    first.keys("]")
    first.wait_for("[3 data")
    first.keys("k")
    first.wait_for("0 problems")
    first.keys("]")
    # Prompt: tried on rows with the real model, then measured.
    first.wait_for("[4 prompt")
    first.keys("t")
    first.wait_for("wanted", PATIENCE)
    first.wait_for(lambda shown: "answer  " in shown and "answer  …" not in shown, PATIENCE)
    first.keys("m")
    first.wait_for("Measuring: running", PATIENCE)

    # The terminal is lost in mid-measurement: the measurement goes on, and the wizard where it was.
    first.close()
    second = open_wizard(terminals, root, environment, size)
    second.wait_for("[4 prompt")
    second.wait_for(lambda _: measured(root, "prompt"), PATIENCE)
    second.wait_for("measured  ", PATIENCE)
    assert load_project(root).situation.wants == ["facts", "format"]
    assert load_wizard(root).page == "prompt"

    # RAG: a question to the documents, then measured.
    second.wait_for(lambda shown: "Measuring: finished" in shown, PATIENCE)
    second.keys("]")
    second.wait_for("[5 RAG")
    second.keys("i")
    second.write("order")
    second.wait_for(lambda _: load_wizard(root).drafts.get("question") == "order")
    second.keys("Enter")
    second.wait_for("searched in", PATIENCE)
    # Escape and a letter right behind it would be one key: wait until the letters are keys again.
    second.keys("Escape")
    second.wait_for(lambda shown: "leave the field" not in shown)
    second.keys("m")
    second.wait_for("Measuring: running", PATIENCE)
    second.wait_for(lambda _: measured(root, "rag"), PATIENCE)
    second.wait_for(lambda shown: "Measuring: finished" in shown, PATIENCE)

    # Tune: checked, then trained and measured.
    second.keys("]")
    second.wait_for("[6 tune")
    second.keys("k")
    second.wait_for("nothing would stop the launch", PATIENCE)
    second.keys("m")
    second.wait_for("Measuring: running", PATIENCE)
    second.wait_for(lambda _: measured(root, "tune"), PATIENCE)
    second.wait_for(lambda shown: "Measuring: finished" in shown, PATIENCE)
    second.keys("]")
    second.wait_for("[7 verdict")
    second.wait_for("Verdict:")
    verdict = json.loads((root / "scoreboard.json").read_text())["verdict"]
    assert verdict["rung"] in ("prompt", "rag", "tune", "undecided") and verdict["reasons"]

    # Back through all pages, and on the scoreboard.
    for number in range(6, 0, -1):
        second.keys("[")
        second.wait_for(f"[{number} ")
    second.keys("b")
    second.wait_for("Candidates")
    second.keys("q")
