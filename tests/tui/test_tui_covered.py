"""Only the screen in sight draws, and what was covered is up to date the moment it is on top again."""

import asyncio
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets import DataTable

from rung.engine.guide.doctor import DoctorReport, ModelCache, Terminal
from rung.engine.jobs.events import Event, Finished, Phase, Queued, Started, Step, to_json_line
from rung.engine.jobs.folder import RunFolder
from rung.engine.machine.memory import MachineMemory
from rung.tui.runs.screen import RunsScreen
from rung.tui.shell.app import ErrandDone, RungApp
from rung.tui.shell.screen import RungScreen
from rung.tui.shell.screen_table import screens
from rung.tui.watch.messages import EventsRead, RunFound
from tests.helpers.ladder_project import make_model, make_project
from tests.helpers.on_screen import NARROW, PATIENCE_SECONDS, ROOT, WIDE, held_lock, project, settled, shown, until
from tests.helpers.recorded import START_TIME

A_REPORT = DoctorReport(
    "", [], 8, MachineMemory(8 << 30, 40 << 30), [], ModelCache("", [], True, False), [],
    Terminal(True, "utf-8", "xterm", "256", False, True, 80, 24), False, [],
)  # fmt: skip
LIVE = "20251123-093000-sft-3f2a"


def append(folder: RunFolder, *steps: int) -> None:
    with folder.events.open("a") as log:
        for step in steps:
            log.write(to_json_line(Step(step, 1.3, 0.5, 1e-4, 0.9, 100, 50.0, 2.0), 600 + step, START_TIME))


@contextmanager
def counted_paints(app: RungApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What the app sends to the terminal meanwhile."""
    sent: list[object] = []
    display = app._display

    def count(screen: Any, renderable: Any) -> None:
        if renderable is not None:
            sent.append(renderable)
        display(screen, renderable)

    with monkeypatch.context() as patch:
        patch.setattr(app, "_display", count)
        yield sent


@pytest.mark.parametrize("key", ["b", "d", "a", "question_mark"])
async def test_a_covered_screen_is_still_and_up_to_date_when_it_is_on_top_again(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    folder = RunFolder((root / "runs" / LIVE).resolve())
    with held_lock(folder):
        app = RungApp(root)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, settled(app))
            app.open_run(LIVE)
            await until(pilot, lambda: "412 / 620" in shown(app))
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) == 3)
            await until(pilot, lambda: not app.workers)
            await quiet(pilot, app)
            with counted_paints(app, monkeypatch) as sent:
                for step in range(413, 418):
                    append(folder, step)
                    await until(pilot, lambda step=step: app.runs[LIVE].state.step == step)  # type: ignore[misc]
                    await pilot.pause()
                assert not sent
            await pilot.press("escape")
            # No waiting: its first picture has the newest figures.
            assert "417 / 620" in shown(app)


async def quiet(pilot: Pilot[None], app: RungApp) -> None:
    """Until the screen's own first pictures are through."""
    before = ""
    while before != (before := shown(app)):
        await pilot.pause(0.1)


@pytest.mark.parametrize("name", screens())
async def test_any_screen_takes_any_size_while_runs_begin_and_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every fact is drawn at once, as the first one after a while is.
    monkeypatch.setattr("rung.tui.runs.screen.REDRAW_SECONDS", 0.0)
    monkeypatch.setattr("rung.tui.run.screen.REDRAW_SECONDS", 0.0)
    # What it asks of every interpreter on this machine takes long, and is not what is tested here.
    monkeypatch.setattr("rung.engine.guide.doctor.doctor", lambda *_: A_REPORT)
    root = project(tmp_path / "p", {LIVE: "dpo-cpu"})
    make_project(root, make_model(tmp_path / "model"))
    app = RungApp(root, run=LIVE) if name == "run" else RungApp(root, start=name)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app))
        for number in range(3):
            await a_run_while_the_size_changes(pilot, app, number, WIDE if number % 2 == 0 else NARROW)
            assert isinstance(app.screen, RungScreen), shown(app)
            assert app.screen.has_class("-narrow" if number % 2 else "-wide")


async def a_run_while_the_size_changes(pilot: Pilot[None], app: RungApp, number: int, size: tuple[int, int]) -> None:
    """The terminal changes its size between two facts of a run, however close they come."""
    run = f"20251124-00000{number}-sft-{number:04x}"
    # Not below the project: its events come from here, and from here alone.
    app.post_message(RunFound(run, RunFolder(app.root.parent / run), {"method": "sft"}))
    for event in (Queued("cpu"), Started("host", 1, ["cpu"], 1), Phase("train", 0, 90, "steps")):
        post_event(app, run, event)
    app._driver._size = Size(*size)  # type: ignore[union-attr]
    app.post_message(events.Resize(Size(*size), Size(*size)))
    step = 0
    while app.is_running and (app.screen.size != size or step < 20):
        step += 1
        post_event(app, run, Step(step, 0.5, 2.0 / step, 1e-4, 0.9, 100, 50.0, 2.0))
        # A run's facts and the terminal's come in whatever order the loop takes them.
        await asyncio.sleep(0)
    post_event(app, run, Finished(step, {"loss": 1.0}, "adapter", "step 9"))
    await until(pilot, lambda: app.runs[run].status == "finished" or not app.is_running)


def post_event(app: RungApp, run: str, event: Event) -> None:
    app.post_message(EventsRead(run, [{"type": event.type} | vars(event)], caught_up=True))


async def test_a_table_of_runs_keeps_its_cursor_over_a_change_of_size(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, {LIVE: "dpo-cpu", "20251122-180500-dpo-77c0": "dpo-cpu"}))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app, 2))
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        await until(pilot, lambda: screen.query_one(DataTable).row_count == 2)
        await pilot.press("down")
        await pilot.resize_terminal(*WIDE)
        await until(pilot, lambda: "method" in shown(app))
        selected = screen.selected()
        assert selected is not None and selected.id == "20251122-180500-dpo-77c0"


@pytest.mark.accept
@pytest.mark.parametrize(
    ("steps", "most"),
    [
        ([("", "1123-sft-3f2a")], 15_000),
        ([("", "1123-sft-3f2a"), ("\r", "smoothing")], 15_000),
        ([("", "1123-sft-3f2a"), ("\r", "smoothing"), ("b", "without a hand on it")], 500),
        ([("", "1123-sft-3f2a"), ("\r", "smoothing"), ("?", "arrows scroll")], 500),
    ],
    ids=["runs", "run", "scoreboard over it", "help over it"],
)
def test_bytes_on_the_line_while_a_run_is_replayed(steps: list[tuple[str, str]], most: int, tmp_path: Path) -> None:
    """Ten events a second of replayed time, as a small model's run has them."""
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    folder = RunFolder((root / "runs" / LIVE).resolve())
    lines = folder.events.read_text().splitlines(keepends=True)
    folder.events.write_text("".join(lines[:400]))
    master, slave = pty.openpty()
    width, height = WIDE
    termios.tcsetwinsize(slave, (height, width))
    code = (
        "import sys; from pathlib import Path; from rung.tui.shell.app import RungApp; RungApp(Path(sys.argv[1])).run()"
    )
    with held_lock(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(slave)
        try:
            for key, wanted in steps:
                os.write(master, key.encode())
                wait_for(master, wanted.encode())
            written, seconds = 0, 0.1 * (len(lines) - 400)
            for line in lines[400:]:
                with folder.events.open("a") as log:
                    log.write(line)
                written += len(read_for(master, 0.1))
        finally:
            process.kill()
            process.wait()
            os.close(master)
    assert written / seconds <= most


def read_for(master: int, seconds: float) -> bytes:
    """What comes within the time."""
    came, end = bytearray(), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            came += os.read(master, 65_536)
    return bytes(came)


def wait_for(master: int, wanted: bytes) -> None:
    """Until the text came, and then no whole picture more."""
    came, end = bytearray(), time.monotonic() + PATIENCE_SECONDS
    more = b""
    while wanted not in came or len(more) > 2_000:
        assert time.monotonic() < end, f"{wanted!r} never came"
        more = read_for(master, 2.0)
        came += more


async def test_what_comes_while_the_app_ends_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may answer when the widgets are gone: that was a traceback in place of the shell's prompt."""
    app = RungApp(project(tmp_path, {LIVE: "dpo-cpu"}), start="wizard")
    called: list[str] = []
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app))
        screen = app.screen
        assert isinstance(screen, RungScreen)
        app.on_errand_done(ErrandDone(lambda: called.append("in time")))
        await screen.remove_children()
        monkeypatch.setattr(app, "_running", False)  # As Textual has it while it takes everything away.
        app.on_errand_done(ErrandDone(lambda: called.append("too late")))
        screen._resized()
        screen._news(LIVE)
        monkeypatch.setattr(app, "_running", True)
    assert called == ["in time"]
