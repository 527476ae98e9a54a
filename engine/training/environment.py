"""What a run ran on: versions and hardware, for environment.json."""

import importlib.metadata
import platform
import sys
from typing import Any

_PACKAGES = (
    "rung",
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "tokenizers",
    "numpy",
)


def describe_environment() -> dict[str, Any]:
    """Python, platform, package versions and GPUs of this process."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "platform": platform.platform(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "cuda": torch.version.cuda,
        "gpus": gpus,
        "threads": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
