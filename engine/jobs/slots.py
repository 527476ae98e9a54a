"""One training job a device at a time: a run waits, light, until a device that it may use is free, and takes it.

A slot is a lock in the user's state folder, by the GPU's UUID, so that all projects of one user see each other; beside
it lies which run holds it. Jobs that only generate hold no slot: they keep out of the way of those that train.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.core.state_folder import state_folder
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import HeldLock, is_locked, lock_within
from rung.engine.machine.gpus import Devices, Gpu, freest_first, may_have_gpus, see_only, visible_gpus, wanted_gpus

POLL_SECONDS = 0.5
# A reader's test of a lock holds it for an instant.
_TRY_SECONDS = 0.05
CPU = "cpu"


@dataclass(frozen=True)
class TakenSlot:
    """A device that this process holds; `gpu` is None for the CPU."""

    gpu: Gpu | None
    lock: HeldLock

    def __str__(self) -> str:
        return CPU if self.gpu is None else str(self.gpu)


def take_slot(
    devices: Devices,
    folder: RunFolder,
    tell: Callable[[str, str | None], None],
    should_give_up: Callable[[], bool],
) -> TakenSlot | None:
    """The freest GPU that the recipe's `devices` admits and no other run holds, else the CPU; None if given up.

    The GPU becomes the only one that this process sees. While it waits, `tell` hears what it waits for and who has
    that. Raises EngineError where `devices` names a GPU that isn't there.
    """
    wanted = _wanted(devices, tell)
    told: tuple[str, str | None] = (_in_words(wanted), None)
    tell(*told)
    while True:
        if (taken := _take_one(wanted)) is not None:
            write_json_atomic(_holder_file(_name(taken.gpu)), {"run": folder.id, "path": str(folder.path)})
            if taken.gpu is not None:
                see_only(taken.gpu)
            return taken
        if should_give_up():
            return None
        waits_for = _in_words(wanted), _holders(wanted)
        if waits_for != told:
            told = waits_for
            tell(*told)
        time.sleep(POLL_SECONDS)
        # What others use of the GPUs changes meanwhile.
        wanted = wanted_gpus(devices, visible_gpus()) or wanted


def freest_gpu(devices: Devices = "auto") -> Gpu | None:
    """The GPU that a job would take now: the freest one that no run trains on, else the freest; None without a GPU.

    Never call it in a process that holds a slot. Raises EngineError where `devices` names a GPU that isn't there.
    """
    gpus = freest_first(wanted_gpus(devices, visible_gpus()))
    unused = [gpu for gpu in gpus if not is_locked(_lock_file(gpu.uuid))]
    return next(iter(unused or gpus), None)


def see_freest_gpu(devices: Devices = "auto") -> Gpu | None:
    """Make it the only GPU that this process, which generates and doesn't train, will see; before torch uses one."""
    gpu = freest_gpu(devices)
    if gpu is not None:
        see_only(gpu)
    return gpu


def holder(name: str) -> RunFolder | None:
    """The run that trains on a device now: by the GPU's UUID, or `cpu`.

    Never call it in a process that holds a slot.
    """
    if not is_locked(_lock_file(name)):
        return None
    try:
        return RunFolder(Path(read_json(_holder_file(name))["path"]))
    except EngineError:
        return None  # It has taken the slot this moment, and doesn't say so yet.


def slot_folder() -> Path:
    """Where the locks of this user's slots on this machine lie."""
    folder = state_folder() / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _wanted(devices: Devices, tell: Callable[[str, str | None], None]) -> list[Gpu]:
    gpus = visible_gpus()
    if not gpus and may_have_gpus():
        tell("torch to say which GPUs there are", None)
        gpus = visible_gpus(ask_torch=True)
    return wanted_gpus(devices, gpus)


def _take_one(wanted: Sequence[Gpu]) -> TakenSlot | None:
    for gpu in freest_first(wanted) if wanted else [None]:
        lock = lock_within(_lock_file(_name(gpu)), _TRY_SECONDS)
        if lock is not None:
            return TakenSlot(gpu, lock)
    return None


def _in_words(wanted: Sequence[Gpu]) -> str:
    if not wanted:
        return CPU
    return str(wanted[0]) if len(wanted) == 1 else f"one of {', '.join(gpu.short for gpu in wanted)}"


def _holders(wanted: Sequence[Gpu]) -> str | None:
    """Which run has each: `run A in /project`; of several devices with their names before it."""
    names = {gpu.uuid: f"{gpu.short}: " if len(wanted) > 1 else "" for gpu in wanted} or {CPU: ""}
    held = [(short, run) for name, short in names.items() if (run := holder(name)) is not None]
    return "; ".join(f"{short}run {run.id} in {run.path.parent.parent}" for short, run in held) or None


def _name(gpu: Gpu | None) -> str:
    return CPU if gpu is None else gpu.uuid


def _lock_file(name: str) -> Path:
    return slot_folder() / f"{name.replace('/', '-')}.lock"


def _holder_file(name: str) -> Path:
    return _lock_file(name).with_suffix(".json")
