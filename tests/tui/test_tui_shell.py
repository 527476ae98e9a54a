"""What holds on every screen: keys at the foot, help, palette, settings, themes, light starts, no colour."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.widgets import DataTable, Static

from rung.engine.core.errors import EngineError
from rung.tui.run.screen import RunScreen
from rung.tui.runs.screen import RunsScreen
from rung.tui.settings.stored import Settings, load_settings, save_settings, settings_path
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ErrorPanel
from rung.tui.shell.help_screen import HelpScreen
from rung.tui.shell.ladder_rail import LadderRail
from rung.tui.shell.screen import RungScreen
from rung.tui.shell.screen_table import TABLE, screen_class, screens
from rung.tui.text.words import count, duration, figure, gibibytes, one_line, printable, printable_log, score
from tests.helpers.on_screen import (
    NARROW,
    PATIENCE_SECONDS,
    REPLAYS,
    ROOT,
    THREE_RUNS,
    WIDE,
    project,
    settled,
    shown,
    until,
)

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "scipy", "pandas", "sklearn"}


def names_loaded(code: str) -> set[str]:
    """Top-level modules of a fresh interpreter after `code`."""
    code += "\nimport sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


SHOW = """
import asyncio
from pathlib import Path
from rung.tui.shell.app import RungApp
async def main():
    app = RungApp(Path({root!r}), replay={replay})
    async with app.run_test(size=(120, 30)) as pilot:
        while not {reached}:
            await pilot.pause(0.02)
        await pilot.pause(0.5)
asyncio.run(main())
"""


def test_the_first_paint_needs_neither_numpy_nor_pydantic_nor_the_training_stack(tmp_path: Path) -> None:
    root = project(tmp_path / "p", {})
    loaded = names_loaded(SHOW.format(root=str(root), replay=None, reached="app.screen.query('#empty')"))
    assert "textual" in loaded
    assert loaded & (HEAVY | {"numpy", "pydantic"}) == set()


def test_a_run_without_data_needs_no_numpy_and_the_first_chart_does(tmp_path: Path) -> None:
    events = (REPLAYS / "dpo-cpu.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "starting.jsonl"
    path.write_text("".join(events[:3]))
    reached = "any(run.caught_up for run in app.runs.values())"
    code = SHOW.format(root=str(tmp_path), replay=f"Path({str(path)!r})", reached=reached)
    assert names_loaded(code) & (HEAVY | {"numpy", "pydantic"}) == set()
    path.write_text("".join(events))
    loaded = names_loaded(code)
    assert "numpy" in loaded
    assert loaded & (HEAVY | {"pydantic"}) == set()


@pytest.mark.parametrize("size", [NARROW, (100, 30), WIDE])
@pytest.mark.parametrize("name", ["runs", "run", "welcome", "compare", "scoreboard"])
async def test_help_and_quit_are_always_in_sight(tmp_path: Path, size: tuple[int, int], name: str) -> None:
    run = next(iter(THREE_RUNS))
    app = RungApp(project(tmp_path, THREE_RUNS), start=name, run=run if name == "run" else None)
    async with app.run_test(size=size) as pilot:
        await until(pilot, settled(app, 3))
        assert shown(app).split("\n")[-1].endswith("? help  q quit")
        await pilot.click("KeyFooter", offset=(size[0] - 12, 0))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


@pytest.mark.parametrize("size", [(40, 12), (20, 6), (5, 3)])
async def test_a_tiny_terminal_is_no_error(tmp_path: Path, size: tuple[int, int]) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=size) as pilot:
        await until(pilot, settled(app, 3))
        await until(pilot, lambda: app.screen.query_one(DataTable).row_count == 3)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        for key in ("2", "3", "4", "5", "1"):
            await pilot.press(key)
        await pilot.resize_terminal(160, 48)
        await until(pilot, lambda: "412 / 620" in shown(app))


async def test_help_lists_every_key_of_every_screen(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, {}))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "No runs yet." in shown(app))
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = app.screen.query_one("Static").render().plain  # type: ignore[union-attr]
        assert text.startswith("Here: Runs")
        for name in screens():
            for binding in Binding.make_bindings(screen_class(name).__dict__.get("BINDINGS", ())):
                if binding.description:
                    assert binding.description in text
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)


def test_no_screen_binds_a_key_twice_and_each_key_has_words() -> None:
    for name in screens():
        keys = [binding.key for binding in Binding.make_bindings(screen_class(name).__dict__.get("BINDINGS", ()))]
        assert len(keys) == len(set(keys)), name
    opening = [entry.key for entry in TABLE if entry.key]
    assert len(opening) == len(set(opening))


async def test_the_palette_offers_screens_actions_and_themes(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS), run=next(iter(THREE_RUNS)))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Go to Runs" in shown(app) or "Metrics" in shown(app))
        await pilot.press(*"rung-light")
        await until(pilot, lambda: "Theme: rung-light" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "rung-light")
        await until(pilot, lambda: load_settings().theme == "rung-light")
        await pilot.press("ctrl+p", *"go to runs", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_settings_hold_at_once_and_are_kept() -> None:
    app = RungApp(Path("/nowhere"), replay=REPLAYS / "dpo-cpu.jsonl")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app))
        await pilot.press("comma", "right", "right", "enter")
        await until(pilot, lambda: app.theme == "rung-16")
        await pilot.press("tab", "right", "right", "enter", "tab", *"/usr/bin/python", "tab", *"15", "enter")
        await until(pilot, lambda: app.settings.idle_minutes == 15)
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)
        await until(pilot, lambda: load_settings() == Settings("rung-16", "ascii", "/usr/bin/python", 15))
        assert "|" in shown(app)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"theme": 3, "chart_mode": "crayon", "idle_minutes": "many"}'])
def test_a_damaged_settings_file_gives_the_defaults(text: str) -> None:
    settings_path().parent.mkdir(parents=True)
    settings_path().write_text(text)
    assert load_settings() == Settings()
    save_settings(Settings(idle_minutes=3))
    assert load_settings() == Settings(idle_minutes=3)


def test_an_unknown_run_or_recording_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No run is called 'nosuch'"):
        RungApp(project(tmp_path, THREE_RUNS), run="nosuch")
    with pytest.raises(EngineError, match="There is no recording"):
        RungApp(tmp_path, replay=tmp_path / "none.jsonl")


async def test_what_the_disk_refuses_is_a_panel_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = RungApp(project(tmp_path / "p", {}))
    async with app.run_test(size=NARROW) as pilot:
        app.errand((tmp_path / "file" / "pairs.jsonl").read_text)
        await until(pilot, lambda: "It did not work" in shown(app))
        assert isinstance(app.screen, ErrorPanel)
        message, details = (str(text.content) for text in app.screen.query(Static))
        assert message == "Not a directory" and details.endswith("/file/pairs.jsonl")


async def test_screens_are_opened_once_and_gone_back_to(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app, 3))
        runs = app.screen
        for _ in range(3):
            app.open_run(next(iter(THREE_RUNS)))
            await until(pilot, lambda: isinstance(app.screen, RunScreen))
            await pilot.press("r")
            await until(pilot, lambda: app.screen is runs)
        assert len(app.screen_stack) == 1


def test_without_colour_no_colour_is_written_and_q_quits(tmp_path: Path) -> None:
    root = project(tmp_path / "p", THREE_RUNS)
    written = in_a_terminal([str(root)], keys=[b"\r", b"2", b"/", b"\x1b", b"?", b"q", b"q"])
    codes = [int(code) for codes in re.findall(rb"\x1b\[([\d;]*)m", written) for code in codes.split(b";") if code]
    assert codes
    # Bold, dim, reverse and the terminal's own colours; nothing that chooses a colour.
    assert not [code for code in codes if 30 <= code <= 38 or 40 <= code <= 48 or 90 <= code <= 107]
    assert b"1123-sft-3f2a" in written


def in_a_terminal(arguments: list[str], keys: list[bytes]) -> bytes:
    """What the program writes to an 80x24 terminal under NO_COLOR while it gets these keys, until it ends by itself."""
    code = (
        "import sys; from pathlib import Path; from rung.tui.shell.app import RungApp; RungApp(Path(sys.argv[1])).run()"
    )
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    environment = os.environ | {"NO_COLOR": "1", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    written = bytearray()
    waiting = list(keys)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        # A key that changes nothing on the screen is answered by nothing: after a quiet moment comes the next one.
        readable, _, _ = select.select([master], [], [], 0.5)
        if readable:
            try:
                written += os.read(master, 65_536)
            except OSError:
                break
        elif waiting and b"412/620" in written:
            os.write(master, waiting.pop(0))
    else:
        process.kill()
    os.close(master)
    assert process.wait(timeout=60) == 0
    return bytes(written)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.6421, "0.642"), (18_420.4, "18,420"), (1.6e-4, "1.6e-4"), (None, "–"), (float("nan"), "–"), (0.0, "0"),
     (2e8, "2.00e8"), (float("inf"), "∞"), (-0.5, "-0.5")],
)  # fmt: skip
def test_figures(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_other_words_for_numbers() -> None:
    assert (gibibytes(38.2 * 2**30), gibibytes(3 * 2**20), gibibytes(None)) == ("38.2 GiB", "3 MiB", "–")
    assert gibibytes(361 * 2**10) == "361 KiB"
    assert (duration(761), duration(90_061), duration(None)) == ("00:12:41", "1 d 01:01:01", "–")
    assert (score(0.41), score(1.0), score(None), count(1240)) == (".41", "1.00", "–", "1,240")


def test_printable_leaves_nothing_that_a_terminal_would_obey() -> None:
    assert printable("a\x1b[31mb\x1b]0;t\x07c\x1bcd\r\ne\x00\x9b1mf\u202eg") == "abcd\ne��1mf�g"
    assert printable("a\tb") == "a   b"
    assert printable_log("10%\r50%\r\nnext\r\n") == "50%\nnext\n"
    assert one_line("a\nb\tc" + "x" * 50, 10) == "a b cxxxx…"


async def test_news_of_the_ladder_before_the_screen_is_there_is_no_fault(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path / "p", {}), start="wizard")
    async with app.run_test(size=NARROW) as pilot:
        screen = app.screen
        assert isinstance(screen, RungScreen)
        await screen.query_one(LadderRail).remove()
        screen.show_ladder()
        await pilot.pause()
