"""The memory allocator of workers on the CPU: tcmalloc where the system has it, else the C library's own.

PyTorch asks for aligned blocks, and glibc (2.36 at least) can't fill one that was freed with another of the same size:
its heap grows to 15 to 65 % more than lives in it. tcmalloc holds the same training in a tenth (full) to
a third (LoRA) less, at the same speed (docs/log.md, 2026-11-26; benchmarks/allocator.py).
"""

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Heap = Literal["glibc", "tcmalloc"]
PACKAGE = "libtcmalloc-minimal4"
_NAMES = ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")
# Allocators that keep blocks by size, so that a freed one is found again; a person may have preloaded one of them.
_TIDY = ("tcmalloc", "jemalloc", "mimalloc")


def find_tcmalloc() -> Path | None:
    """The system's tcmalloc, or that of this Python's environment; None where there is none."""
    if sys.platform != "linux":
        return None
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    folders = (f"{sys.prefix}/lib", f"/usr/lib/{triplet}", "/usr/lib64", "/usr/lib", "/usr/local/lib")
    return next((path for folder in folders for name in _NAMES if (path := Path(folder, name)).exists()), None)


def preloaded(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set so that a worker gets tcmalloc: nothing beside a GPU, or where another library is preloaded."""
    found = None if "LD_PRELOAD" in environment or has_nvidia_driver() else find_tcmalloc()
    return {} if found is None else {"LD_PRELOAD": str(found)}


def heap_of(environment: Mapping[str, str]) -> Heap:
    """How a process with this environment is to hold its memory."""
    return "tcmalloc" if any(name in environment.get("LD_PRELOAD", "") for name in _TIDY) else "glibc"


def worker_heap() -> Heap:
    """How a worker that is started here will hold its memory."""
    return heap_of({**os.environ, **preloaded(os.environ)})


def heap_here() -> Heap:
    """How this process holds its memory: what was to be preloaded may be missing where its interpreter runs."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return heap_of(os.environ)
    return "tcmalloc" if any(f"/lib{name}" in mapped for name in _TIDY) else "glibc"


def has_nvidia_driver() -> bool:
    """Whether the NVIDIA kernel driver is loaded."""
    return Path("/proc/driver/nvidia/version").exists()
