"""The machine's memory as this process may use it: the hardware's, or the limit of its container."""

from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class MachineMemory:
    """Bytes in use (caches that the kernel gives back not counted) and bytes in all."""

    used: int
    total: int


def machine_memory() -> MachineMemory:
    """Memory of the machine, or of the tightest control group around this process where that is less."""
    import psutil

    whole = psutil.virtual_memory()
    group = cgroup_memory()
    if group is not None and group.total < whole.total:
        return group
    return MachineMemory(used=whole.total - whole.available, total=whole.total)


def cgroup_memory(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> MachineMemory | None:
    """Memory of the tightest limited control group (version 2 or 1) that this process is in; None without a limit."""
    limited = [memory for folder in own_cgroup_folders(root, own) if (memory := _read_group(folder)) is not None]
    return min(limited, key=lambda memory: memory.total, default=None)


def own_cgroup_folders(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> list[Path]:
    """The folders of the control groups (version 2 or 1) that this process is in, the innermost first."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        top = root if controllers == "" else root / "memory"
        # In a container of its own name space the path may not be there, and the top is the container's own group.
        inner = top / path.lstrip("/")
        folders += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
    return folders


def _read_group(folder: Path) -> MachineMemory | None:
    for limit_name, used_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _read_number(folder / limit_name), _read_number(folder / used_name)
        if limit is not None and used is not None:
            return MachineMemory(
                used=max(0, used - (read_statistic(folder / "memory.stat", cache_name) or 0)), total=limit
            )
    return None


def _read_number(path: Path) -> int | None:
    """The number in a control file; None when it is missing, unreadable or says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def read_statistic(path: Path, name: str) -> int | None:
    """The number behind `name` in one of the kernel's files of names and numbers; None where it isn't there."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)
