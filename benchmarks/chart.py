"""What a redraw of the chart costs: CPU milliseconds and bytes to the terminal, by number of points.

    python benchmarks/chart.py

Two series (a noisy curve and its moving average) on 120 × 30 cells. *Live* adds one point before each redraw, as a run
does; *whole* switches between linear and logarithmic values, so that nearly every cell changes. The cost is everything
the process does for it: reduction, drawing, Textual's compositor and the writing; a loop without redraws is deducted.
"""

import asyncio
import math
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver

from rung.tui.chart import Chart, Series
from rung.tui.chart.smooth import Smoothed
from rung.tui.settings.themes import OUR_TOKENS

SIZE = (120, 30)
POINTS = (1_000, 10_000, 100_000, 1_000_000)
REDRAWS = 60
ROUNDS = 3
PAUSE_SECONDS = 0.03


class CountingDriver(HeadlessDriver):
    """Takes what is written to the terminal and counts it."""

    written = 0

    @property
    def is_headless(self) -> bool:
        """False, so that Textual writes."""
        return False

    def write(self, data: str) -> None:
        """Count the bytes."""
        CountingDriver.written += len(data.encode())


class ChartApp(App[None]):
    """One chart on the whole terminal."""

    CSS_PATH = str(Path(__file__).resolve().parents[1] / "tui" / "chart" / "chart.tcss")

    def compose(self) -> ComposeResult:
        yield Chart()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The curves' colours."""
        return OUR_TOKENS

    rows: list[str] = []

    async def on_ready(self) -> None:
        self.run_worker(self.measure())

    async def measure(self) -> None:
        """Measure every number of points; a row each, printed once the terminal is free again."""
        for points in POINTS:
            chart = self.query_one(Chart)
            curve, smooth = noisy(points), Smoothed(0.9)
            start = time.process_time()
            draw(chart, curve, smooth)
            first = (time.process_time() - start) * 1e3

            def live(chart: Chart = chart, curve: Series = curve, smooth: Smoothed = smooth) -> None:
                curve.steps.append(curve.steps[-1] + 1)
                curve.values.append(value_at(len(curve.steps)))
                draw(chart, curve, smooth)

            live_ms, live_bytes = await self.cost(live)
            whole_ms, whole_bytes = await self.cost(chart.action_toggle_log)
            chart.log_scale = False
            live_text, whole_text = f"{live_ms:.1f} | {live_bytes:,.0f}", f"{whole_ms:.1f} | {whole_bytes:,.0f}"
            self.rows.append(f"| {points:,} | {live_text} | {whole_text} | {first:.0f} |")
        self.exit()

    async def cost(self, redraw: Callable[[], object]) -> tuple[float, float]:
        """Median over rounds of CPU milliseconds and bytes of one redraw."""
        figures = []
        for _ in range(ROUNDS):
            idle = await self.loop(lambda: None)
            before = CountingDriver.written
            busy = await self.loop(redraw)
            figures.append(((busy - idle) / REDRAWS * 1e3, (CountingDriver.written - before) / REDRAWS))
        return statistics.median(ms for ms, _ in figures), statistics.median(size for _, size in figures)

    async def loop(self, redraw: Callable[[], object]) -> float:
        """CPU seconds of REDRAWS redraws with a pause after each, in which Textual paints."""
        start = time.process_time()
        for _ in range(REDRAWS):
            redraw()
            await asyncio.sleep(PAUSE_SECONDS)
        return time.process_time() - start


def draw(chart: Chart, curve: Series, smooth: Smoothed) -> None:
    """Show the curve and its average, as the Run screen does."""
    average = smooth.extend(curve.values)
    raw = Series("raw", "loss", curve.steps, curve.values, 1, "points", dim=True)
    chart.show([raw, Series("smooth", "smoothed", curve.steps, average, 1)])


def noisy(points: int) -> Series:
    """A falling, noisy curve."""
    random.seed(0)
    steps = array("d", range(1, points + 1))
    return Series("raw", "loss", steps, array("d", (value_at(step) for step in range(1, points + 1))))


def value_at(step: int) -> float:
    """Its value at a step."""
    return 0.6 + 1.7 * math.exp(-step / 20_000) + random.gauss(0, 0.05)


if __name__ == "__main__":
    app = ChartApp(driver_class=CountingDriver)
    app.run(size=SIZE)
    print("| points | live: ms CPU | live: bytes | whole: ms CPU | whole: bytes | first draw: ms CPU |")
    print("|---|---|---|---|---|---|", *app.rows, sep="\n")
