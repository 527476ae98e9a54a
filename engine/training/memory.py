"""Samples memory and load while a job runs, from a thread of the worker."""

import os
import threading
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from rung.engine.jobs.events import Memory
from rung.engine.jobs.reporter import Reporter
from rung.engine.machine.devices import process_load, read_devices
from rung.engine.machine.gpus import visible_gpus
from rung.engine.machine.memory import machine_memory

SAMPLE_SECONDS = 2.0


def sample(pid: int | None, uuids: Collection[str] | None = None) -> Memory:
    """One memory event: every GPU, or those of `uuids`, the process if one is named, and the machine.

    Without NVML `devices` is [].
    """
    resident, load = (None, None) if pid is None else process_load(pid)
    machine = machine_memory()
    return Memory(read_devices(uuids), resident, load, machine.used, machine.total)


class MemorySampler:
    """Writes a memory event every two seconds between `start` and `stop`: of the GPU that this process sees."""

    def __init__(self, reporter: Reporter, seconds: float = SAMPLE_SECONDS) -> None:
        self._reporter = reporter
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._over.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        own = [gpu.uuid for gpu in visible_gpus()]
        while True:
            self._reporter.write(with_torch_figures(sample(os.getpid(), own)))
            if self._over.wait(self._seconds):
                return


def with_torch_figures(event: Memory) -> Memory:
    """The event with what this process's own allocator holds on each GPU.

    By UUID, unless there is one alone: of a part of a GPU torch tells the UUID of the whole.
    """
    import torch

    if not event.devices or not torch.cuda.is_available():
        return event
    count = torch.cuda.device_count()
    if count == len(event.devices) == 1:
        return replace(event, devices=[_with_allocator(event.devices[0], 0)])
    own = {_uuid(number): number for number in range(count)}
    return replace(event, devices=[_with_allocator(device, own.get(device.uuid)) for device in event.devices])


def _with_allocator(device: Any, number: int | None) -> Any:
    import torch

    if number is None:
        return device
    return replace(
        device,
        job_reserved=torch.cuda.memory_reserved(number),
        job_peak=torch.cuda.max_memory_reserved(number),
    )


def _uuid(number: int) -> str:
    import torch

    return f"GPU-{torch.cuda.get_device_properties(number).uuid}"
