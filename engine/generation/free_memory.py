"""Whether a model still fits on a device, beside the jobs that train there."""

from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.reader import read_run
from rung.engine.jobs.slots import CPU, holder
from rung.engine.machine.gpus import visible_gpus
from rung.engine.models.load import model_folder
from rung.engine.models.weights import BYTES_PER_PARAMETER, count_parameters
from rung.engine.recipe.schema import ModelSettings

OVERHEAD_BYTES = 512 << 20
"""Room for the key-value cache, activations and the device's context."""


@dataclass(frozen=True)
class TrainingJob:
    """A job that trains now. Bytes are None when its events don't say them yet."""

    run: str
    forecast: int | None
    reserved: int


def training_jobs(device: str) -> list[TrainingJob]:
    """The jobs, of any project, that train now on the GPU that this process sees, or on the CPU."""
    seen = [CPU] if device == "cpu" else [gpu.uuid for gpu in visible_gpus()]
    jobs = []
    for folder in filter(None, map(holder, seen)):
        state, _ = read_run(folder)
        if state.status in ("running", "stopping"):
            forecast = state.forecast.get("measured") or state.forecast.get("bytes")
            reserved = sum(reading.get("job_reserved") or 0 for reading in state.memory.get("devices", []))
            jobs.append(TrainingJob(folder.id, forecast, reserved))
    return jobs


def model_bytes(settings: ModelSettings, root: Path, dtype_name: str) -> int | None:
    """Bytes of a model's weights once loaded; None for a hub model that is not in the cache."""
    folder = model_folder(settings.name, root, settings.revision)
    if folder is None:
        return None
    word = settings.quantization if settings.quantization != "none" else dtype_name
    return int(count_parameters(folder) * BYTES_PER_PARAMETER[word])


def refuse_without_room(needed: int | None, free: int, jobs: list[TrainingJob]) -> None:
    """Raise EngineError when a model of `needed` bytes would crowd out a job on the same GPU, or not fit at all."""
    claimed = sum(max(0, (job.forecast or 0) - job.reserved) for job in jobs)
    names = ", ".join(job.run for job in jobs)
    if jobs and (needed is None or any(job.forecast is None for job in jobs)):
        raise EngineError(
            f"{names} trains on this GPU, and it can't be told whether the model fits beside it",
            "the model is not in the cache, or the job has not forecast its memory yet",
            "wait for the job, or for its forecast",
        )
    if needed is not None and needed + OVERHEAD_BYTES > free - claimed:
        beside = f" beside {names}" if jobs else ""
        raise EngineError(
            f"The model doesn't fit on this GPU{beside}",
            f"needs {_gib(needed + OVERHEAD_BYTES)}, free {_gib(free)}, still claimed by jobs {_gib(claimed)}",
            "stop the job, or load a quantised model (model.quantization: nf4)",
        )


def free_bytes(device: str) -> int:
    """Bytes that can still be had on the device."""
    if device == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    return int(torch.cuda.mem_get_info(device)[0])


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
