"""One reading of memory and load, per GPU through NVIDIA's management library, and of the process and the machine.

Nothing here relies on the process ids that the library lists: inside a container they are the host's. What a job holds
on a GPU is known to the job's own torch, which fills `job_reserved` and `job_peak` in.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

# nvml.h, clocks event reasons: hardware slowdown 0x8, software thermal 0x20, hardware thermal 0x40, power brake 0x80.
# Not the software power cap (0x4): a board at its own power limit is at work, and the watts are shown.
THROTTLE_REASONS = 0x8 | 0x20 | 0x40 | 0x80


@dataclass(frozen=True)
class DeviceMemory:
    """Readings of one GPU, or of a part of one. Bytes, per cent, degrees Celsius, watts."""

    uuid: str
    name: str
    job_reserved: int | None = None
    job_peak: int | None = None
    used: int | None = None
    total: int | None = None
    utilisation: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttled: bool | None = None
    index: int | None = None


def read_devices(uuids: Collection[str] | None = None) -> list[DeviceMemory]:
    """Every GPU of this machine, or its MIG parts, or those of `uuids` (as torch or nvidia-smi writes them).

    [] without NVML. What a driver or a partitioned GPU refuses to tell is None.
    """
    nvml = _nvml()
    if nvml is None:
        return []
    wanted = None if uuids is None else {_bare(uuid) for uuid in uuids}
    found = [
        _read_device(nvml, index, handle, board) for index, board in _boards(nvml) for handle in _parts(nvml, board)
    ]
    return [device for device in found if wanted is None or _bare(device.uuid) in wanted]


def nvml_answers() -> bool:
    """Whether NVIDIA's management library is here and answers."""
    return _nvml() is not None


def driver_version() -> str | None:
    """The NVIDIA driver's version; None without one."""
    nvml = _nvml()
    return None if nvml is None else _ask(nvml, nvml.nvmlSystemGetDriverVersion)


@lru_cache(maxsize=1)
def _nvml() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _boards(nvml: Any) -> Iterator[tuple[int, Any]]:
    for index in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
        handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            yield index, handle


def _parts(nvml: Any, board: Any) -> list[Any]:
    """The MIG parts of a partitioned board, else the board itself."""
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, board)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        return [board]
    count = _ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, board) or 0
    parts = [_ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, board, index) for index in range(count)]
    return [part for part in parts if part is not None] or [board]


def _read_device(nvml: Any, index: int, handle: Any, board: Any) -> DeviceMemory:
    """Readings of one part; temperature, power and clocks are the whole board's."""
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2) or _ask(
        nvml, nvml.nvmlDeviceGetMemoryInfo, handle
    )
    rates = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    power = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, board)
    temperature = _ask(nvml, nvml.nvmlDeviceGetTemperature, board, nvml.NVML_TEMPERATURE_GPU)
    reasons = _ask(nvml, nvml.nvmlDeviceGetCurrentClocksEventReasons, board)
    return DeviceMemory(
        uuid=_ask(nvml, nvml.nvmlDeviceGetUUID, handle) or "unknown",
        name=_ask(nvml, nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU",
        used=None if memory is None else int(memory.used),
        total=None if memory is None else int(memory.total),
        utilisation=None if rates is None else float(rates.gpu),
        temperature_c=None if temperature is None else float(temperature),
        power_w=None if power is None else power / 1000,
        throttled=None if reasons is None else bool(reasons & THROTTLE_REASONS),
        index=index,
    )


def _ask(nvml: Any, question: Callable[..., T], *arguments: Any) -> T | None:
    """The library's answer, or None when this driver or device refuses it."""
    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None


def _bare(uuid: str) -> str:
    """nvidia-smi writes GPU-…, torch leaves the prefix out."""
    return uuid.removeprefix("GPU-")


_cpu_seconds: dict[int, tuple[float, float]] = {}


def process_load(pid: int) -> tuple[int | None, float | None]:
    """Resident bytes of a process, and its load in per cent of one core since the last call for it.

    (None, None) when it is gone; the load is None on the first call.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        resident: int = process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        _cpu_seconds.pop(pid, None)
        return None, None
    now, spent = time.monotonic(), times.user + times.system
    before = _cpu_seconds.get(pid)
    _cpu_seconds[pid] = (now, spent)
    if before is None or now <= before[0]:
        return resident, None
    return resident, max(0.0, 100 * (spent - before[1]) / (now - before[0]))
