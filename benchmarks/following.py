"""What following a run costs the screens: from an event in the file to the screen, and the event loop's lag meanwhile.

    python benchmarks/following.py [EVENTS]

A process of its own writes 20 step events a second, as a fast run does, while the Run screen follows them; then a file
of EVENTS events (a million by default) is opened from its beginning. Wall times depend on what else the machine does;
CPU seconds hardly.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from textual.drivers.headless_driver import HeadlessDriver

from rung.engine.jobs.events import Phase, Started, Step, to_json_line
from rung.tui.shell.app import RungApp
from rung.tui.watch.messages import EventsRead

LIVE_SECONDS = 15.0
BEAT_SECONDS = 0.01

# Holds the lock as a worker does, and stamps each event with the time at which it is written.
WRITER = """
import sys, time
from pathlib import Path
from rung.engine.jobs.events import Step, to_json_line
from rung.engine.jobs.lock import try_lock
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
held = try_lock(folder / "lock")
with (folder / "events.jsonl").open("a") as events:
    print("ready", flush=True)
    for step in range(1, int(seconds * 20)):
        time.sleep(0.05)
        event = Step(step, step / 100, 2 / step, 1e-4, 0.5, step * 900, 18000.0, 0.05)
        events.write(to_json_line(event, step + 1, time.time()))
        events.flush()
"""


class PaintingDriver(HeadlessDriver):
    """Notes when something was written to the terminal, and how much."""

    painted = 0.0
    written = 0

    @property
    def is_headless(self) -> bool:
        """False, so that Textual writes."""
        return False

    def write(self, data: str) -> None:
        """Note it."""
        PaintingDriver.painted = time.time()
        PaintingDriver.written += len(data.encode())


class MeasuringApp(RungApp):
    """The app, noting when events reach it and how late the loop is."""

    def __init__(self, root: Path, run: str) -> None:
        super().__init__(root, run=run, driver_class=PaintingDriver)
        self.folded: list[float] = []
        self.painted: list[float] = []
        self.lags: list[float] = []

    async def on_ready(self) -> None:
        self.run_worker(self._beat())

    async def on_events_read(self, message: EventsRead) -> None:
        if message.events and message.caught_up:
            written = float(message.events[-1]["time"])
            self.folded.append(time.time() - written)
            self.run_worker(self._wait_for_paint(written))

    async def _wait_for_paint(self, written: float) -> None:
        heard = time.time()
        while PaintingDriver.painted < heard and time.time() - heard < 2:
            await asyncio.sleep(0.002)
        self.painted.append(PaintingDriver.painted - written)

    async def _beat(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            self.lags.append(time.monotonic() - before - BEAT_SECONDS)


async def live(root: Path) -> None:
    """A run that goes on."""
    folder = new_run(root, "20260101-000000-sft-live")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(LIVE_SECONDS)],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    app = MeasuringApp(root, folder.name)
    start = time.process_time()
    task = asyncio.create_task(app.run_async(size=(120, 30)))
    await asyncio.sleep(LIVE_SECONDS)
    app.exit()
    await task
    writer.wait()
    cpu = (time.process_time() - start) / LIVE_SECONDS
    print(
        f"live, 20 events a second, 120 × 30: {cpu:.1%} of a core, {PaintingDriver.written / LIVE_SECONDS:,.0f} bytes/s"
    )
    print(f"  event to state   {spread(app.folded)}")
    print(f"  event to screen  {spread(app.painted)}")
    print(f"  event loop late  {spread(app.lags)}")


async def reopened(root: Path, count: int) -> None:
    """A long run opened from its beginning."""
    folder = new_run(root, "20260102-000000-sft-long")
    line = json.loads(to_json_line(Step(1, 0.1, 1.0, 1e-4, 0.5, 900, 18_000.0, 0.05), 2, time.time()))
    with (folder / "events.jsonl").open("a") as events:
        for step in range(1, count + 1):
            events.write(json.dumps(line | {"seq": step + 1, "step": step, "loss": 1 + 1 / step}) + "\n")
    app = MeasuringApp(root, folder.name)
    start, cpu = time.monotonic(), time.process_time()
    task = asyncio.create_task(app.run_async(size=(120, 30)))
    while folder.name not in app.runs or app.runs[folder.name].state.step < count:
        await asyncio.sleep(0.02)
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    lags = list(app.lags)
    app.exit()
    await task
    size = (folder / "events.jsonl").stat().st_size / 2**20
    print(f"{count:,} events ({size:.0f} MiB) from the beginning: {cpu:.1f} CPU s, {seconds:.1f} s")
    print(f"  event loop late  {spread(lags)}")


def new_run(root: Path, run: str) -> Path:
    """A run folder whose training has begun."""
    folder = root / "runs" / run
    (folder / "requests").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("method: sft\nmodel: {name: pocket}\n")
    opening = (Started("here", 1, ["cpu"], 1), Phase("train", 0, 400, "steps"))
    lines = (to_json_line(event, number, time.time()) for number, event in enumerate(opening))
    (folder / "events.jsonl").write_text("".join(lines))
    return folder


def spread(seconds: list[float]) -> str:
    """Median, 95th and 99th percentile and the largest, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    figures = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return "  ".join(f"{name} {value * 1e3:.0f} ms" for name, value in figures.items())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(Path(directory) / "live"))
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(reopened(Path(directory) / "long", int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
