"""The real program in a real terminal, by its keys: from the welcome screen to two answers side by side."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.reader import RunReader, read_run
from tests.engine.training.test_runs import wait_until
from tests.helpers.program import PROGRAM
from tests.helpers.terminal import Terminal

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    names = {"XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
    return {"HOME": str(home)} | {name: str(home / folder) for name, folder in names.items()}


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def open_rung(terminals: list[Terminal], folder: Path, environment: dict[str, str], size: tuple[int, int]) -> Terminal:
    command = [sys.executable, "-P", str(PROGRAM), "-C", str(folder)]
    terminal = Terminal(folder / f"tmux-{len(terminals)}", command, size, environment)
    terminals.append(terminal)
    return terminal


def only_run(root: Path) -> RunFolder:
    (run,) = list_runs(root)
    return run


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["wide", "narrow"])
def test_from_welcome_to_compare_with_the_terminal_killed_on_the_way(
    size: tuple[int, int], tmp_path: Path, environment: dict[str, str], terminals: list[Terminal]
) -> None:
    first = open_rung(terminals, tmp_path, environment, size)
    first.wait_for("Climb from prompt to RAG to fine-tuning")
    # The format demo stands first in the list.
    first.keys("Enter")
    first.wait_for("Demo format")
    first.keys("Enter")
    demo = tmp_path / "rung-demo-format"
    first.wait_for(lambda shown: "● running" in shown and bool(list_runs(demo)))
    run = only_run(demo)
    wait_until(run, lambda reader: reader.state.step >= 8)
    before = first.wait_for(lambda shown: any(0x2800 < ord(character) <= 0x28FF for character in shown))
    step = read_run(run)[0].step
    wait_until(run, lambda reader: reader.state.step >= step + 3)
    first.wait_for(lambda shown: shown != before)

    # The terminal is killed in mid-run: the job goes on.
    first.close()
    step = read_run(run)[0].step
    reader = wait_until(run, lambda reader: reader.state.step >= step + 3)
    assert reader.status() == "running"

    # A new one shows the whole curve, from the first step.
    second = open_rung(terminals, demo, environment, size)
    second.wait_for("running")
    second.press_until("Enter", lambda shown: any(0x2800 < ord(character) <= 0x28FF for character in shown))
    curve = RunReader(run).catch_up().curve("loss")
    assert list(curve.steps) == list(range(1, len(curve.steps) + 1))

    # Stop and save, then resume.
    second.keys("s")
    reader = wait_until(run, lambda reader: reader.state.over)
    assert reader.state.status == "stopped"
    second.wait_for("stopped")
    second.keys("R")
    wait_until(run, lambda reader: reader.state.status == "finished")
    second.wait_for("finished")
    curve = RunReader(run).catch_up().curve("loss")
    assert list(curve.steps) == list(range(1, len(curve.steps) + 1)), "one curve, without a break"

    # Compare: the base beside the tuned model, and the proof that the base is the base.
    second.keys("c")
    second.wait_for("plain base")
    # `i` goes to the prompt where it has no focus, and is a letter of the prompt where it has.
    second.keys("i")
    second.write("Hello")
    second.keys("Enter")
    shown = second.wait_for(lambda shown: shown.count("tok/s") >= (2 if size[0] > 100 else 1))
    assert "plain base" in shown or "fingerprint" in shown
    second.keys("Escape", "q")
