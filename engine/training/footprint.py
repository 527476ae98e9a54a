"""The forecast a run starts with, and what its first real step took."""

from pathlib import Path

from rung.engine.data.report import DataReport
from rung.engine.jobs.events import Forecast
from rung.engine.machine.allocator import heap_here
from rung.engine.models.forecast import ModelShape, forecast_memory, shape_of_config, shape_of_folder
from rung.engine.models.load import model_folder, model_source, resolve_dtype
from rung.engine.recipe.schema import ModelSettings, Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods import answer_room


class Footprint:
    """Forecast beside measurement. Create it once the training stack is imported and before the model is loaded."""

    def __init__(self) -> None:
        self._idle = resident_bytes()
        self._forecast = Forecast({}, 0)

    def announce(self, job: Job) -> None:
        """Write the forecast. What loading took for a moment, in pages of the weights' files, is not counted later."""
        forget_peak()
        dtype = str(resolve_dtype(job.recipe.model, job.device)).removeprefix("torch.")
        shape = model_shape(job.recipe.model, job.root)
        longest = longest_row(job.recipe, job.train.report)
        parts = forecast_memory(shape, job.recipe, longest, dtype, job.device != "cpu", heap_here())
        self._forecast = Forecast(parts, sum(parts.values()))
        job.reporter.write(self._forecast)

    def measure(self, job: Job, seconds: float | None) -> None:
        """Write the forecast again with the time to the end, and the peak so far above the idle process, in bytes."""
        expected = self._forecast
        job.reporter.write(Forecast(expected.parts, expected.bytes, seconds, self._measured(job.device)))

    def _measured(self, device: str) -> int:
        if device == "cpu":
            return max(0, resident_bytes("VmHWM") - self._idle)
        import torch

        return int(torch.cuda.max_memory_reserved())


def longest_row(recipe: Recipe, report: DataReport) -> int:
    """Tokens of the longest row that is trained on; prompts have their answers still to come."""
    return report.longest + (answer_room(recipe) if report.trained_tokens == 0 else 0)


def model_shape(model: ModelSettings, root: Path) -> ModelShape:
    """The shape of a recipe's model: from its files, or from its configuration where they are not here."""
    folder = model_folder(model.name, root, model.revision)
    if folder is not None:
        return shape_of_folder(folder)
    from transformers import AutoConfig

    source = model_source(model.name, root)
    config = AutoConfig.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code)
    return shape_of_config(config)


def resident_bytes(figure: str = "VmRSS") -> int:
    """Bytes of this process in memory: now (VmRSS), or the most since the peak was forgotten (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{figure}:"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """Let the kernel count the peak anew from here (proc(5): clear_refs); where it may not be asked, it counts on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
