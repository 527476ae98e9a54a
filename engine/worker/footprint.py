"""The forecast a run starts with, and what its first real step took."""

from pathlib import Path

from engine.events import Forecast
from engine.forecast import forecast_memory, shape_of_folder
from engine.models import model_source, resolve_dtype
from engine.worker.job import Job


class Footprint:
    """Forecast beside measurement. Create it once the training stack is imported and before the model is loaded."""

    def __init__(self) -> None:
        self._idle = resident_peak()
        self._forecast: Forecast | None = None

    def announce(self, job: Job) -> None:
        """Write the forecast; hub models that lie in no folder have none yet."""
        source = Path(model_source(job.recipe.model.name, job.root))
        if not source.is_dir():
            return
        dtype = str(resolve_dtype(job.recipe.model, job.device)).removeprefix("torch.")
        parts = forecast_memory(shape_of_folder(source), job.recipe, job.train.report.longest, dtype)
        self._forecast = Forecast(parts, sum(parts.values()))
        job.reporter.write(self._forecast)

    def measure(self, job: Job, seconds: float | None) -> None:
        """Write the forecast again with the peak so far above the idle process, in bytes."""
        expected = self._forecast or Forecast({}, 0)
        job.reporter.write(Forecast(expected.parts, expected.bytes, seconds, self._measured(job.device)))

    def _measured(self, device: str) -> int:
        if device == "cpu":
            return resident_peak() - self._idle
        import torch

        return int(torch.cuda.max_memory_reserved())


def resident_peak() -> int:
    """The most bytes this process has had in memory (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
