"""How a worker process is started: with which interpreter, on which file, with what environment."""

import os
import sys
from pathlib import Path

import rung
from rung.engine.machine.allocator import preloaded
from rung.engine.machine.gpus import environment_as_given

_PROGRAM = Path(rung.__file__).with_name("__main__.py")
# Resolved: in a checkout rung/recipes is a link to recipes/.
RECIPES = _PROGRAM.with_name("recipes").resolve()
CHECKOUT = _PROGRAM.resolve().parents[1]
"""The folder above the package: that of pyproject.toml in a checkout, else site-packages."""


def worker_command(*arguments: str, python: str | None = None) -> list[str]:
    """The command of a worker, by the program's path: `python` may be an interpreter without Rung.

    With `-P`, so that no file of the folder it is started in is taken for a library.
    """
    return [python or sys.executable, "-P", str(_PROGRAM), "worker", *arguments]


def worker_environment() -> dict[str, str]:
    """This process's environment, all GPUs that it was given in it, with what a worker needs on top."""
    return (
        environment_as_given()
        | {
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            # The tokenizers' threads and a data loader's fork don't go together.
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "TRL_EXPERIMENTAL_SILENCE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            # What libraries tell each other of their next versions would fill the end of every worker.log.
            "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore::FutureWarning"),
            # Blocks that grow in place: what is reserved on a GPU is nearly what is used.
            "PYTORCH_CUDA_ALLOC_CONF": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
            # On the CPU every large tensor is otherwise mapped and unmapped anew, a third of a training step.
            "MALLOC_MMAP_MAX_": os.environ.get("MALLOC_MMAP_MAX_", "0"),
            "MALLOC_TRIM_THRESHOLD_": os.environ.get("MALLOC_TRIM_THRESHOLD_", str(1 << 32)),
        }
        | preloaded(os.environ)
    )
