"""How often the kernel has killed a process for want of memory, by its own counters.

A killed worker says no last word. Where a counter has risen since the worker began, that is probably why.
"""

import socket
from collections.abc import Mapping
from pathlib import Path

from rung.engine.machine.memory import CGROUP_ROOT, OWN_CGROUPS, own_cgroup_folders, read_statistic

MACHINE_COUNTER = Path("/proc/vmstat")
"""Counts every kill of the machine: in a container, those of its neighbours too."""
KILLED = "the kernel probably killed it for want of memory"
KILLED_HINT = (
    "lower training.per_device_train_batch_size or data.max_length, or take 4-bit weights (model.quantization: nf4)"
)


def count_oom_kills(
    root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS, machine: Path = MACHINE_COUNTER
) -> dict[str, int]:
    """{counter's file: kills so far}: that of the process's own control group (version 2 or 1), else the machine's.

    Empty where the kernel counts nothing.
    """
    groups = [
        folder / name for folder in own_cgroup_folders(root, own) for name in ("memory.events", "memory.oom_control")
    ]
    for counter in [*groups, machine]:
        count = read_statistic(counter, "oom_kill")
        if count is not None:
            return {str(counter): count}
    return {}


def was_probably_killed(host: str, before: Mapping[str, int]) -> bool:
    """Whether one of the counters has risen over what a worker read when it began on `host`.

    False where that can't be known: on another host, or where the worker's control group is gone.
    """
    if host != socket.gethostname():
        return False
    now = {counter: read_statistic(Path(counter), "oom_kill") for counter in before}
    return any(count is not None and count > before[counter] for counter, count in now.items())
