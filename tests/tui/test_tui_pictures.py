"""Snapshots of the few screens that matter: the real program on recordings, without a clock."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from rung.tui.shell.app import RungApp
from tests.helpers.on_screen import NARROW, REPLAYS, THREE_RUNS, WIDE, project, settled, shown, until
from tests.replays.make_replays import RECORDINGS, text_of

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are shown in local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ready(app: RungApp, wanted: str, runs: int = 1) -> Callable[[Pilot[None]], object]:
    async def wait(pilot: Pilot[None]) -> None:
        await until(pilot, settled(app, runs))
        await until(pilot, lambda: wanted in shown(app))
        # What was asked for while waiting (titles, scroll to the end) is painted before the picture is taken.
        await pilot.pause(0.5)

    return wait


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recordings_are_what_the_script_writes(name: str) -> None:
    assert (REPLAYS / f"{name}.jsonl").read_text() == text_of(RECORDINGS[name]())


def test_run_wide(snap_compare: Compare) -> None:
    app = RungApp(Path("/nowhere"), replay=REPLAYS / "sft-two-gpus.jsonl")
    assert snap_compare(app, terminal_size=WIDE, run_before=ready(app, "412 / 620"))


def test_run_narrow(snap_compare: Compare) -> None:
    app = RungApp(Path("/nowhere"), replay=REPLAYS / "sft-two-gpus.jsonl")
    assert snap_compare(app, terminal_size=NARROW, run_before=ready(app, "412/620"))


def test_run_failed(snap_compare: Compare) -> None:
    app = RungApp(Path("/nowhere"), replay=REPLAYS / "failed-cpu.jsonl")
    assert snap_compare(app, terminal_size=(120, 30), run_before=ready(app, "✖ failed"))


def test_runs(snap_compare: Compare, tmp_path: Path) -> None:
    app = RungApp(project(tmp_path / "invoices", THREE_RUNS))
    assert snap_compare(app, terminal_size=(120, 30), run_before=ready(app, "✖ crashed", runs=3))
