"""Memory and load of a run's devices, beside the forecast; or of its process where there is no GPU."""

from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from rung.tui.text.glyphs import Glyphs, bar
from rung.tui.text.words import gibibytes, printable
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.widgets.titles import set_titles

BAR_WIDTH = 14
ROOMY_WIDTH = 56


class MemoryPanel(VerticalScroll):
    """Scrolls where there are more devices than lines."""

    def compose(self) -> ComposeResult:
        yield TextPanel(classes="auto")

    def show(self, run: WatchedRun, marks: Glyphs) -> None:
        """Show the newest readings."""
        devices = run.state.memory.get("devices")
        count = f" ({len(devices)})" if devices and len(devices) > 1 else ""
        set_titles(self, f"GPU memory{count}" if devices else "Memory")
        self.query_one(TextPanel).put(memory_text(run, marks, self.scrollable_content_region.width))


def memory_text(run: WatchedRun, marks: Glyphs, width: int) -> Content:
    """Two lines a GPU, or the process and the machine; then the forecast."""
    memory = run.state.memory
    if not memory:
        if not run.caught_up:
            return Content.styled(READING, "$muted")
        words = "No reading yet: one comes every few seconds once the worker has its device."
        return Content.styled("No reading in this run." if run.state.over else words, "$muted")
    devices = [device for device in memory.get("devices") or [] if isinstance(device, dict)]
    forecast = _number(run.state.forecast.get("bytes"))
    lines = []
    if devices:
        for place, device in enumerate(devices):
            index = _number(device.get("index"))
            lines += _device_lines(place if index is None else int(index), device, forecast, marks, width)
    else:
        lines += _process_lines(memory, marks)
    lines += _forecast_lines(run.state.forecast, marks.bar_mark if devices else "")
    return Content("\n").join(lines)


def _device_lines(
    index: int, device: dict[str, Any], forecast: float | None, marks: Glyphs, width: int
) -> list[Content]:
    roomy = width >= ROOMY_WIDTH
    name = printable(str(device.get("name", ""))).removeprefix("NVIDIA ")
    load = [(f"GPU {index} ", "bold"), (f"{name}  " if roomy else "", "")]
    for key, form in (("utilisation", "util {} %"), ("temperature_c", "{} °C"), ("power_w", "{} W")):
        value = _number(device.get(key))
        load.append((form.format("–" if value is None else f"{value:.0f}") + "  ", ""))
    if device.get("throttled"):
        load.append(("throttled", "bold $text-warning"))
    used, total = _number(device.get("used")), _number(device.get("total"))
    parts = [(_bar(used, total, forecast, marks), "$text-accent"), (f" {_used_of(used, total)}", "")]
    peak = _number(device.get("job_peak"))
    if peak is not None and roomy:
        parts.append((f"  job's peak {gibibytes(peak)}", ""))
    return [Content.assemble(*load), Content.assemble("      " if roomy else "", *parts)]


def _process_lines(memory: dict[str, Any], marks: Glyphs) -> list[Content]:
    rss, used, total = (_number(memory.get(key)) for key in ("process_rss", "machine_used", "machine_total"))
    cpu = _number(memory.get("process_cpu"))
    load = "" if cpu is None else f"  CPU {cpu:.0f} %"
    return [
        Content.styled("No GPU: CPU and process memory", "$muted"),
        Content.assemble("worker  ", (_bar(rss, total, None, marks), "$text-accent"), f" {gibibytes(rss)}{load}"),
        Content.assemble("machine ", (_bar(used, total, None, marks), "$text-accent"), f" {_used_of(used, total)}"),
    ]


def _forecast_lines(forecast: dict[str, Any], mark: str) -> list[Content]:
    expected = _number(forecast.get("bytes"))
    if expected is None:
        return []
    # On CPU the worker's resident memory holds the imported stack too, so there the forecast is no mark on its bar.
    text = f"forecast {gibibytes(expected)} {mark or 'above the idle worker'}"
    measured = _number(forecast.get("measured"))
    if measured is not None:
        text += f"  measured {gibibytes(measured)}"
    parts = forecast.get("parts")
    named = parts.items() if isinstance(parts, dict) else ()
    detail = ", ".join(f"{printable(str(name))} {gibibytes(_number(size))}" for name, size in named if _number(size))
    return [Content(text), Content.styled(detail, "$muted")] if detail else [Content(text)]


def _used_of(used: float | None, total: float | None) -> str:
    """`38.2 of 79.6 GiB`."""
    return f"{gibibytes(used).removesuffix(' GiB')} of {gibibytes(total)}"


def _bar(value: float | None, total: float | None, forecast: float | None, marks: Glyphs) -> str:
    if value is None or not total:
        return marks.bar_empty * BAR_WIDTH
    return bar(value / total, BAR_WIDTH, marks, None if forecast is None else forecast / total)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
