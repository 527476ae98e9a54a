"""Figures for benchmarks/gpu.py: what a run's events say, and what the device says of itself."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder

# Dense bfloat16 operations a second, by the vendor's data sheets.
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12, "L40S": 362e12, "RTX 4090": 165e12}
GIB = 2**30


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    """The run's events of one type."""
    if not folder.events.exists():
        return []
    return [event for event in read_json_lines(folder.events) if event["type"] == kind]


def last_event(folder: RunFolder) -> dict[str, Any]:
    """The run's last event."""
    events = list(read_json_lines(folder.events))
    return events[-1] if events else {"type": "nothing"}


def losses(folder: RunFolder) -> list[float]:
    """The training loss of each step, a resumed run's later sitting over the earlier."""
    by_step = {event["step"]: event["loss"] for event in events_of(folder, "step")}
    return [by_step[step] for step in sorted(by_step)]


def steady(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Real tokens a second once the first steps are over; steps give their time and all tokens so far."""
    if len(steps) < 3:
        return {"steps": len(steps)}
    first = min(3, len(steps) // 3)
    seconds = sum(step["seconds"] or 0.0 for step in steps[first + 1 :])
    tokens = (steps[-1]["tokens"] or 0) - (steps[first]["tokens"] or 0)
    return {
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
        "tokens_a_step": round(tokens / (len(steps) - first - 1)),
        "step_ms": milliseconds(steps[first + 1 :]),
    }


def milliseconds(steps: list[dict[str, Any]]) -> float | None:
    """The median step."""
    times = [1000 * step["seconds"] for step in steps if step.get("seconds")]
    return round(statistics.median(times), 1) if times else None


def run_peak(folder: RunFolder) -> dict[str, Any]:
    """Peak and forecast of a run, as its events say after the second step."""
    last = (events_of(folder, "forecast") or [{}])[-1]
    return {"peak_gib": gib(last.get("measured")), "forecast_gib": gib(last.get("bytes"))}


def peak() -> dict[str, Any]:
    """Most memory reserved by this process since it was last counted anew."""
    import torch

    return {"peak_gib": gib(torch.cuda.max_memory_reserved()) if torch.cuda.is_available() else None}


def peak_flops() -> float | None:
    """The GPU's dense bfloat16 operations a second; None for one that is not in the table."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


def gib(count: float | None) -> float | None:
    """Bytes in GiB."""
    return None if count is None else round(count / GIB, 2)


def device_name() -> str:
    """cuda or cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def wait_for_device() -> None:
    """Until all that was launched is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def forget() -> None:
    """Give back what earlier runs of this process left on the GPU, and count peaks anew."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def timed(work: Callable[[], Any], times: int) -> float:
    """Mean seconds of one call, after three to warm up."""
    for _ in range(3):
        work()
    wait_for_device()
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait_for_device()
    return (time.perf_counter() - began) / times
