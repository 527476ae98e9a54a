"""One training job a device at a time: a run waits, light, until the devices it wants are free."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from engine.runs.lock import HeldLock, try_lock

POLL_SECONDS = 0.5


def slot_folder() -> Path:
    """Where the locks of this user's slots on this machine lie."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = state / "rung" / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wanted_slots() -> list[str]:
    """Names of the slots a run takes: each visible GPU, else the CPU. Known without the training stack."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",") if name.strip() and name.strip() != "-1"]
    else:
        names = [str(number) for number in range(_count_gpus())]
    return sorted(f"gpu-{name}".replace("/", "-") for name in names) or ["cpu"]


def wait_for_slots(names: list[str], should_give_up: Callable[[], bool]) -> list[HeldLock] | None:
    """The locks of all named slots, in order, so that two waiting runs don't block each other; None if given up."""
    held: list[HeldLock] = []
    for name in names:
        while (lock := try_lock(slot_folder() / f"{name}.lock")) is None:
            if should_give_up():
                for taken in held:
                    taken.release()
                return None
            time.sleep(POLL_SECONDS)
        held.append(lock)
    return held


def _count_gpus() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
