"""Driving the real screens in tests: projects made of recordings, waiting for a state, and a worker that is alive."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from textual.pilot import Pilot

from rung.engine.jobs.folder import RunFolder
from rung.tui.shell.app import RungApp
from tests.helpers.program import ROOT

REPLAYS = ROOT / "tests" / "replays"
WIDE, NARROW = (160, 48), (80, 24)
PATIENCE_SECONDS = 600.0


def project(root: Path, runs: dict[str, str]) -> Path:
    """A project whose runs are recordings: run id to the recording's name."""
    (root / "recipes").mkdir(parents=True)
    (root / "rung.yaml").write_text("target: 0.8\n")
    for run, recording in runs.items():
        folder = RunFolder(root / "runs" / run)
        folder.requests.mkdir(parents=True)
        shutil.copy(REPLAYS / f"{recording}.jsonl", folder.events)
        shutil.copy(REPLAYS / f"{recording}.yaml", folder.recipe)
    return root


THREE_RUNS = {
    "20251123-093000-sft-3f2a": "sft-two-gpus",
    "20251122-180500-dpo-77c0": "dpo-cpu",
    "20251122-171000-sft-01be": "failed-cpu",
}


async def until(pilot: Pilot[None], reached: Callable[[], object]) -> None:
    """Let the app work until `reached` is true; fails when that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "the screen never got there"
        await pilot.pause(0.02)
    await pilot.pause()


def settled(app: RungApp, runs: int = 1) -> Callable[[], bool]:
    """Whether `runs` runs are read to their end, and it is known of each whether its worker lives."""

    def reached() -> bool:
        known = [run for run in app.runs.values() if run.caught_up]
        return len(known) >= runs and all(
            run.folder is None or run.state.over or run.alive is not None for run in known
        )

    return reached


def shown(app: RungApp) -> str:
    """The screen as text, line by line."""
    width = app.size.width
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text[:width].rstrip() for strip in strips)


@contextmanager
def held_lock(folder: RunFolder) -> Iterator[None]:
    """Another process that holds the run's lock, as a worker does, until the block ends."""
    code = (
        "import sys; from pathlib import Path; from rung.engine.jobs.lock import try_lock\n"
        "held = try_lock(Path(sys.argv[1])); print(held is not None, flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.lock)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "True"
        yield
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
