"""What this machine has, and what will and won't work on it: `rung doctor`."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.hub.cache import cache_folder, is_offline
from rung.engine.jobs.slots import holder
from rung.engine.jobs.stack import install_command
from rung.engine.machine.allocator import PACKAGE, worker_heap
from rung.engine.machine.devices import DeviceMemory, driver_version, read_devices
from rung.engine.machine.interpreters import Interpreter, find_interpreters, probe_interpreters
from rung.engine.machine.memory import MachineMemory, machine_memory

LOW_DISK_BYTES = 10 * 2**30
GIB = 2**30


@dataclass(frozen=True)
class Disk:
    """Room on the file system of one folder, in bytes."""

    what: str
    path: str
    free: int
    total: int


@dataclass(frozen=True)
class ModelCache:
    """Where hub models are kept, and which are there."""

    path: str
    models: list[str]
    writable: bool
    offline: bool


@dataclass(frozen=True)
class Terminal:
    """What the terminal of this process can show."""

    is_terminal: bool
    encoding: str
    term: str
    colours: str
    inside_tmux: bool
    tmux_installed: bool
    columns: int
    lines: int


@dataclass(frozen=True)
class Finding:
    """One thing that a person may want to do, whether it will work here, why, and what to do if not."""

    what: str
    works: bool
    why: str
    hint: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """Everything `rung doctor` looked at."""

    driver: str | None
    gpus: list[DeviceMemory]
    cores: int
    memory: MachineMemory
    disks: list[Disk]
    model_cache: ModelCache
    interpreters: list[Interpreter]
    terminal: Terminal
    slurm: bool
    findings: list[Finding]
    # Which run trains on a GPU, by the GPU's UUID; of this user's, in any project.
    training_on: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def doctor(project: Path, worker_pythons: Sequence[str] = ()) -> DoctorReport:
    """Look at the machine. `worker_pythons` are interpreters named in settings. Takes a second or two."""
    driver, gpus = driver_version(), read_devices()
    interpreters = probe_interpreters(find_interpreters(project, worker_pythons), ask_torch=bool(gpus))
    cache, terminal = model_cache(), this_terminal()
    disks = [disk("project", project), disk("model cache", Path(cache.path))]
    return DoctorReport(
        driver=driver,
        gpus=gpus,
        cores=len(os.sched_getaffinity(0)),
        memory=machine_memory(),
        disks=disks,
        model_cache=cache,
        interpreters=interpreters,
        terminal=terminal,
        slurm=shutil.which("sbatch") is not None,
        findings=[
            *_about_training(interpreters, gpus, worker_pythons),
            _about_screens(terminal),
            _about_models(cache),
            *_about_disks(disks),
            *([] if gpus else [_about_allocator()]),
        ],
        training_on={gpu.uuid: str(run.path) for gpu in gpus if (run := holder(gpu.uuid)) is not None},
    )


def this_terminal() -> Terminal:
    """What this process writes to, from its streams and environment."""
    environment = os.environ
    term, size = environment.get("TERM", ""), shutil.get_terminal_size()
    if "NO_COLOR" in environment or term in ("", "dumb"):
        colours = "none"
    elif environment.get("COLORTERM") in ("truecolor", "24bit"):
        colours = "16 million"
    else:
        colours = "256" if "256" in term else "16"
    return Terminal(
        is_terminal=sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty(),
        # While a screen is up, stdout is Textual's catcher of prints, which has no encoding.
        encoding=getattr(sys.stdout, "encoding", None) or getattr(sys.__stdout__, "encoding", None) or "ascii",
        term=term,
        colours=colours,
        inside_tmux="TMUX" in environment or term.startswith(("tmux", "screen")),
        tmux_installed=shutil.which("tmux") is not None,
        columns=size.columns,
        lines=size.lines,
    )


def model_cache() -> ModelCache:
    """The hub cache that Transformers uses (HF_HUB_CACHE, HF_HOME, else ~/.cache/huggingface/hub)."""
    path = cache_folder()
    models = sorted(entry.name.removeprefix("models--").replace("--", "/", 1) for entry in path.glob("models--*"))
    return ModelCache(str(path), models, os.access(_existing(path), os.W_OK), is_offline())


def disk(what: str, path: Path) -> Disk:
    """Room where `path` lies, or will lie."""
    usage = shutil.disk_usage(_existing(path))
    return Disk(what, str(path), usage.free, usage.total)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _about_training(
    interpreters: Sequence[Interpreter], gpus: Sequence[DeviceMemory], worker_pythons: Sequence[str]
) -> list[Finding]:
    """Whether workers will train, quantise, retrieve and score in the interpreter that the settings name, or this."""
    wanted = next((path for path in worker_pythons if path), sys.executable)
    worker = next((item for item in interpreters if item.path == wanted), interpreters[0])
    able = [item.path for item in interpreters if item.can.get("train")]
    findings = []
    for what, ability in (("training", "train"), ("QLoRA", "qlora"), ("RAG", "rag"), ("scoring", "score")):
        works = worker.can.get(ability, False)
        why = f"in {worker.path}" if works else f"{worker.path}: {worker.error or _missing(worker, ability)}"
        hint = "" if works else install_command(worker.path)
        if not works and ability == "train" and able:
            hint = f"--python {able[0]} takes that one for a project (worker_python)"
        findings.append(Finding(what, works, why, hint))
    return [*findings, _about_gpus(worker, gpus)]


def _missing(worker: Interpreter, ability: str) -> str:
    return "lacks " + ", ".join(worker.lacks.get(ability, []))


def _about_gpus(worker: Interpreter, gpus: Sequence[DeviceMemory]) -> Finding:
    if not gpus:
        return Finding("GPU", False, "no NVIDIA driver answers; training runs on the CPU: fine for small models")
    if worker.torch_device == "cuda":
        return Finding("GPU", True, f"{len(gpus)} seen by the driver and by torch (CUDA {worker.torch_cuda})")
    return Finding(
        "GPU", False, f"the driver has {len(gpus)}, but torch in {worker.path} sees none",
        "that torch may be a CPU build, or newer than the driver: see its CUDA version",
    )  # fmt: skip


def _about_allocator() -> Finding:
    """Training on the CPU only: which allocator its workers get."""
    if worker_heap() == "tcmalloc":
        return Finding("memory of workers", True, "tcmalloc: a tenth to a third less than the C library's allocator")
    return Finding(
        "memory of workers", False, "no tcmalloc is here; the C library's allocator takes a tenth to a half more",
        f"apt install {PACKAGE}, or conda install gperftools",
    )  # fmt: skip


def _about_screens(terminal: Terminal) -> Finding:
    if terminal.encoding.lower().replace("-", "") != "utf8":
        return Finding(
            "screens", False, f"the encoding is {terminal.encoding}", "export LC_ALL=C.UTF-8 PYTHONUTF8=1"
        )  # fmt: skip
    if terminal.term == "dumb":
        return Finding("screens", False, "TERM is dumb", "set TERM to what the terminal is, for example xterm-256color")
    return Finding(
        "screens", True, f"UTF-8, {terminal.colours} colours" + (", in tmux" if terminal.inside_tmux else "")
    )


def _about_models(cache: ModelCache) -> Finding:
    if not cache.writable:
        return Finding(
            "models from the hub", False, f"{cache.path} can't be written", "set HF_HOME to a folder that can"
        )
    if cache.offline:
        return Finding(
            "models from the hub", False, f"offline is asked for; {len(cache.models)} models are in {cache.path}",
            "unset HF_HUB_OFFLINE to download",
        )  # fmt: skip
    return Finding("models from the hub", True, f"cache {cache.path}: {len(cache.models)} models (network not tried)")


def _about_disks(disks: Sequence[Disk]) -> list[Finding]:
    return [
        Finding(
            f"disk for the {item.what}", item.free >= LOW_DISK_BYTES, f"{item.free / GIB:.1f} GiB free at {item.path}",
            "" if item.free >= LOW_DISK_BYTES else "checkpoints and models need room; free some, or use another disk",
        )
        for item in disks
    ]  # fmt: skip
