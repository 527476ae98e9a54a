"""Which GPUs a job may take, and how one of them becomes the only GPU that its process sees.

A job takes one GPU. It is chosen before torch is imported and set by UUID in CUDA_VISIBLE_DEVICES, so that no library
can spread the job over others. Where that variable is set already, by a container or a scheduler, only those count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rung.engine.core.errors import EngineError
from rung.engine.machine.devices import DeviceMemory, nvml_answers, read_devices

VISIBLE = "CUDA_VISIBLE_DEVICES"
Devices = Literal["auto"] | int | list[int | str]
"""`devices:` of a recipe: auto, how many, or a list of indices and UUIDs."""

TORCH_SECONDS = 120.0
# Of a driver without NVIDIA's management library: WSL, a thin container, AMD.
_DEVICE_FILES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_TORCH_PROBE = """
import json, torch
gpus = []
for number in range(torch.cuda.device_count()):
    known = torch.cuda.get_device_properties(number)
    free, total = torch.cuda.mem_get_info(number)
    uuid = getattr(known, "uuid", None)
    gpus.append({"name": known.name, "uuid": None if uuid is None else f"GPU-{uuid}", "free": free, "total": total})
print(json.dumps(gpus))
"""


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one part of a partitioned GPU. `index` is nvidia-smi's; `visible` goes into CUDA_VISIBLE_DEVICES."""

    uuid: str
    index: int | None
    name: str
    free: int | None
    total: int | None
    visible: str

    @property
    def short(self) -> str:
        """`GPU 1`, or for a part of a GPU, or one without a number, its UUID too."""
        number = "GPU" if self.index is None else f"GPU {self.index}"
        return number if self.index is not None and not self.uuid.startswith("MIG-") else f"{number} {self.uuid}"

    def __str__(self) -> str:
        number = "GPU" if self.index is None else f"GPU {self.index}"
        return f"{number} {self.name} ({self.uuid})"


def visible_gpus(environment: Mapping[str, str] | None = None, *, ask_torch: bool = False) -> list[Gpu]:
    """The GPUs that this process may use, in the order of CUDA_VISIBLE_DEVICES where that is set; [] without one.

    Without NVIDIA's management library they are known to torch alone: `ask_torch` asks it in a process of its own,
    which takes seconds. Raises EngineError where CUDA_VISIBLE_DEVICES names a GPU that is not there.
    """
    given = (os.environ if environment is None else environment).get(VISIBLE)
    if nvml_answers():
        every = [_of_reading(device) for device in read_devices()]
        return every if given is None else _named_in_environment(given, every)
    return _seen_by_torch(given) if ask_torch and may_have_gpus() else []


def may_have_gpus() -> bool:
    """Whether there is a driver that NVIDIA's management library doesn't answer for, so that only torch knows more."""
    return not nvml_answers() and any(Path(name).exists() for name in _DEVICE_FILES)


def wanted_gpus(devices: Devices, gpus: Sequence[Gpu]) -> list[Gpu]:
    """Those of `gpus` that a recipe's `devices:` admits: all, or those it names. Raises EngineError for a wrong name.

    [] means the CPU: there is no GPU and none is named.
    """
    if not isinstance(devices, list):
        return list(gpus)
    return [gpu for name in devices for gpu in _named(name, gpus)]


def refuse_wrong_devices(devices: Devices) -> None:
    """Raise EngineError for a GPU that is not on this machine, as far as that is known without torch."""
    if not may_have_gpus():
        wanted_gpus(devices, visible_gpus())


def freest_first(gpus: Sequence[Gpu]) -> list[Gpu]:
    """By free memory, the most first; where that is not known, last."""
    return sorted(gpus, key=lambda gpu: -1 if gpu.free is None else gpu.free, reverse=True)


def see_only(gpu: Gpu) -> None:
    """Make it the only GPU that this process, and those it becomes, will see. Call it before torch uses one."""
    _before.setdefault(VISIBLE, os.environ.get(VISIBLE))
    os.environ[VISIBLE] = gpu.visible


def environment_as_given() -> dict[str, str]:
    """This process's environment as it was before `see_only`: a job that it starts chooses a GPU of its own."""
    environment = dict(os.environ)
    if VISIBLE in _before:
        environment.pop(VISIBLE, None)
        given = _before[VISIBLE]
        if given is not None:
            environment[VISIBLE] = given
    return environment


_before: dict[str, str | None] = {}


def _of_reading(device: DeviceMemory) -> Gpu:
    free = None if device.total is None or device.used is None else device.total - device.used
    return Gpu(device.uuid, device.index, device.name, free, device.total, device.uuid)


def _named_in_environment(given: str, every: Sequence[Gpu]) -> list[Gpu]:
    """As CUDA reads the variable: indices and beginnings of UUIDs; the first entry that names no GPU ends the list.

    Indices are nvidia-smi's, which are CUDA's where all GPUs are of one kind or CUDA_DEVICE_ORDER is PCI_BUS_ID.
    """
    found: list[Gpu] = []
    for entry in (part.strip() for part in given.split(",")):
        one = _by_index(int(entry), every) if entry.isdecimal() else _by_uuid(entry, every)
        if one is None:
            if not found and (entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))):
                raise EngineError(
                    f"{VISIBLE} names a GPU that is not there: {entry}",
                    _listed(every, "on this machine"),
                    f"set {VISIBLE} to one of them, or unset it; empty means the CPU",
                )
            break
        if one not in found:
            found.append(one)
    return found


def _by_index(index: int, every: Sequence[Gpu]) -> Gpu | None:
    """The GPU of that index; of a partitioned one its first part, as CUDA has it."""
    return next((gpu for gpu in every if gpu.index == index), None)


def _by_uuid(text: str, every: Sequence[Gpu]) -> Gpu | None:
    if not text.startswith(("GPU-", "MIG-")):
        return None
    matching = [gpu for gpu in every if gpu.uuid.startswith(text)]
    return matching[0] if len(matching) == 1 else next((gpu for gpu in matching if gpu.uuid == text), None)


def _named(name: int | str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """The GPU of that index (of a partitioned one its parts), or of that UUID, which may be cut short."""
    if isinstance(name, int):
        found = [gpu for gpu in gpus if gpu.index == name]
    else:
        whole = name if name.startswith(("GPU-", "MIG-")) else f"GPU-{name}"
        found = [gpu for gpu in gpus if gpu.uuid == whole] or [gpu for gpu in gpus if gpu.uuid.startswith(whole)]
        if len(found) > 1:
            raise EngineError(
                f"devices: {name} is the beginning of several UUIDs", _listed(found, "so named"), "write more of it"
            )
    if not found:
        limit = os.environ.get(VISIBLE)
        where = "on this machine" if limit is None else f"that {VISIBLE}={limit} leaves"
        raise EngineError(
            f"There is no {f'GPU {name}' if isinstance(name, int) else name} here",
            f"devices: [{name}]; {_listed(gpus, where)}",
            "name one of them, or write devices: auto for the one with the most free memory"
            if gpus
            else "write devices: auto; without a GPU a run trains on the CPU",
        )
    return found


def _listed(gpus: Sequence[Gpu], where: str) -> str:
    return f"the GPUs {where}: " + ("; ".join(map(str, gpus)) or "none")


def _seen_by_torch(given: str | None) -> list[Gpu]:
    """What torch of this interpreter sees, asked in a process of its own so that this one can still choose."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=TORCH_SECONDS, check=True,
            cwd="/",
        )  # fmt: skip
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return []
    entries = (
        [str(number) for number in range(len(told))] if given is None else [part.strip() for part in given.split(",")]
    )
    return [
        Gpu(
            uuid=one["uuid"] or f"GPU-{entry}",
            index=int(entry) if entry.isdecimal() else None,
            name=one["name"],
            free=one["free"],
            total=one["total"],
            visible=entry,
        )
        for entry, one in zip(entries, told, strict=False)
    ]
