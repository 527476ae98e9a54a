"""How a worker process is started: with which interpreter, on which file, with what environment."""

import os
import sys
from pathlib import Path

from engine.allocator import preloaded
from engine.gpus import environment_as_given

PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def program_path() -> Path:
    """The file that carries `main`: rung.py in a checkout, rung/__init__.py in site-packages."""
    checkout = PACKAGE_ROOT / "rung.py"
    return checkout if checkout.exists() else PACKAGE_ROOT / "__init__.py"


def worker_command(*arguments: str, python: str | None = None) -> list[str]:
    """The command of a worker. `-P` and a file path, so that a user's own engine.py is never run."""
    return [python or sys.executable, "-P", str(program_path()), "worker", *arguments]


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
