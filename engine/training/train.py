"""One training run from recipe to artifact, as one visible path."""

import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.files import iterate_json_lines, read_json, write_json_atomic
from rung.engine.hub.cache import name_of_snapshot
from rung.engine.jobs.checkpoints import (
    MANIFEST,
    checkpoint_path,
    checkpoint_steps,
    latest_checkpoint,
    verify_checkpoint,
)
from rung.engine.jobs.ending import RunEnded
from rung.engine.jobs.events import Cancelled, Finished, Phase, Resumed, Scheduled, Stopped
from rung.engine.jobs.failures import is_out_of_memory
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.schema import Recipe
from rung.engine.training.callback import RunCallback, clear_partial_output, validation_figures
from rung.engine.training.footprint import Footprint
from rung.engine.training.job import Job
from rung.engine.training.memory import MemorySampler
from rung.engine.training.methods import method_module, method_of
from rung.engine.training.methods.arguments import OUTPUT_FOLDER, default_precision
from rung.engine.training.methods.outcome import outcome_of
from rung.engine.training.methods.rows import StepRows
from rung.engine.training.model import hold_trained_in_float32
from rung.engine.training.preflight import run_preflight
from rung.engine.training.prepare import gather
from rung.engine.training.probe.meter import ForgettingProbe, make_probe
from rung.engine.training.recovery import OutOfMemory
from rung.engine.training.report import write_report
from rung.engine.training.samples import PinnedPrompts

if TYPE_CHECKING:
    from transformers import Trainer

# Of a checkpoint, what an artifact is not: only a resume needs these.
_TRAINER_FILES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "trainer_state.json", MANIFEST, "README.md",
    "generation.safetensors", "entropy_ctrl_state.json")  # fmt: skip


def train(recipe: Recipe, folder: RunFolder, root: Path, reporter: Reporter) -> None:
    """Train, or go on training, and write the terminal event. Raises on failure; the session writes that event."""
    clear_partial_output(folder.path / OUTPUT_FOLDER)
    checkpoint = latest_checkpoint(folder)
    if checkpoint is not None:
        verify_checkpoint(checkpoint)
    sampler = MemorySampler(reporter)
    sampler.start()
    try:
        _import_stack()
        footprint = Footprint()
        # New adapter weights are drawn while the model is gathered, before the trainer sets its own seed.
        import_module("transformers").set_seed(recipe.seed)
        job = gather(recipe, folder, root, reporter)
        footprint.announce(job)
        try:
            _run(job, checkpoint, footprint)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise OutOfMemory(str(error).strip().partition("\n")[0] or "the machine's memory is full") from error
            raise
    except RunEnded as ended:
        reporter.write(ended.event)
    finally:
        sampler.stop()
        clear_partial_output(folder.path / OUTPUT_FOLDER)


def _import_stack() -> None:
    """Load the libraries first: what they take is the idle process, not the job's memory."""
    import_module("peft")
    import_module("trl").SFTTrainer  # noqa: B018  (TRL loads lazily, on the attribute)


def _run(job: Job, checkpoint: Path | None, footprint: Footprint) -> None:
    from transformers.trainer_callback import PrinterCallback

    trainer = method_module(job.recipe.method).build_trainer(job)
    _leave_random_numbers(trainer)
    hold_trained_in_float32(job.model, job.recipe, default_precision(job))
    step_rows = StepRows(trainer)
    if checkpoint is None:
        if _has_begun(job.folder):
            job.reporter.write(Resumed(0))
        run_preflight(job, trainer, footprint, step_rows)
    callback = RunCallback(job, footprint, tokens_before=_tokens_until(job.folder, checkpoint))
    callback.samples = PinnedPrompts(job)
    callback.probe = make_probe(job, _earlier_probe(job.folder) if checkpoint else None)
    callback.step_rows = step_rows
    job.reporter.write(_scheduled(job, callback))
    trainer.add_callback(callback)
    trainer.remove_callback(PrinterCallback)
    if checkpoint is None:
        before = _measure_before(job, trainer)
        callback.samples.answer(0)
        _probe(job, callback, 0, whole=True)
    else:
        before, callback.evaluations = _earlier_evaluations(job.folder, checkpoint)
        # A stop asked for at a step saves it unprobed; the run without a break would have probed, and acted, there.
        callback.look_first = not _was_probed(job.folder, _step_of(checkpoint))
        job.reporter.write(Resumed(_step_of(checkpoint)))
    _look_after_evaluation(trainer, callback)
    if checkpoint is not None and _step_of(checkpoint) >= job.schedule.total_steps:
        _take_up_the_end(trainer, callback, checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _end(job, trainer, callback, before)


def _scheduled(job: Job, callback: RunCallback) -> Scheduled:
    schedule = job.schedule
    return Scheduled(
        schedule.total_steps,
        schedule.eval_steps,
        schedule.save_steps,
        schedule.probe_steps if callback.probe is not None else None,
        schedule.sample_steps if callback.samples is not None and callback.samples.count else None,
    )


def _take_up_the_end(trainer: "Trainer", callback: RunCallback, checkpoint: Path) -> None:
    """A run that broke off between its last step and its result: the trainer itself would take one step more."""
    from transformers import TrainerState

    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if trainer.state.global_step not in callback.evaluations:
        trainer.evaluate()


def _leave_random_numbers(trainer: "Trainer") -> None:
    """Evaluate without drawing from the training's random numbers, as making a data loader does.

    The curve of a run that stops where it would have evaluated is then that of one which evaluates.
    """
    import torch

    evaluate = trainer.evaluate

    def aside(*args: Any, **options: Any) -> dict[str, float]:
        with torch.random.fork_rng():
            figures: dict[str, float] = evaluate(*args, **options)
        return figures

    trainer.evaluate = aside


def _measure_before(job: Job, trainer: "Trainer") -> dict[str, float]:
    job.reporter.write(Phase("evaluate", 0, len(job.validation.encoded), "rows"))
    return validation_figures(trainer.evaluate(), job)


def _look_after_evaluation(trainer: "Trainer", callback: RunCallback) -> None:
    """Samples and probe come after the step's evaluation and before its checkpoint, where the model is at rest.

    So the checkpoint holds the rate that the forgetting guard has lowered.
    """
    after, save = trainer._maybe_log_save_evaluate, trainer._save_checkpoint

    def look() -> None:
        callback.look(trainer.state.global_step, trainer.lr_scheduler)

    def look_and_save(*args: Any, **options: Any) -> None:
        look()
        save(*args, **options)

    def and_look(*args: Any, **options: Any) -> None:
        after(*args, **options)
        look()

    trainer._save_checkpoint = look_and_save
    trainer._maybe_log_save_evaluate = and_look


def _probe(job: Job, callback: RunCallback, step: int, whole: bool) -> None:
    if callback.probe is not None:
        job.reporter.write(Phase("probe", unit="questions"))
        callback.probe.measure(step, whole)


def _end(job: Job, trainer: "Trainer", callback: RunCallback, before: dict[str, float]) -> None:
    step = trainer.state.global_step
    if callback.ended_by == "stop":
        job.reporter.write(Stopped(step, resumable=True))
        return
    if callback.ended_by == "cancel":
        job.reporter.write(Cancelled(step, resumable=latest_checkpoint(job.folder) is not None))
        return
    chosen, how = _choose(job, callback)
    if chosen != step and callback.probe is not None:
        # What is handed over is what its forgetting is measured on.
        trainer._load_from_checkpoint(str(checkpoint_path(job.folder, chosen)))
    _probe(job, callback, step, whole=True)
    job.reporter.write(Phase("export"))
    artifact = export_artifact(job, checkpoint_path(job.folder, chosen))
    metrics = _final_metrics(before, callback.evaluations, chosen)
    outcome = outcome_of(method_of(job.recipe.method).end_figures, metrics)
    finished = Finished(
        step,
        metrics,
        artifact.name,
        f"step {chosen}: {how}",
        **_forgetting(callback.probe),
        outcome=outcome.words,
        worse=outcome.worse,
    )
    write_report(job, finished, outcome, callback.evaluations, callback.probe)
    job.reporter.write(finished)


def _forgetting(probe: ForgettingProbe | None) -> dict[str, Any]:
    """What the last event says of forgetting."""
    if probe is None:
        return {}
    return {
        "forgetting": probe.forgetting(),
        "forgetting_intervals": probe.forgetting_intervals(),
        "forgetting_before": probe.forgetting_before(),
        "forgetting_of": probe.name,
    }


def _choose(job: Job, callback: RunCallback) -> tuple[int, str]:
    """The checkpoint that becomes the artifact: the best by the method's figure among those kept, else the last."""
    kept = checkpoint_steps(job.folder)
    method = method_of(job.recipe.method)
    best = method.best_step({step: figures for step, figures in callback.evaluations.items() if step in kept})
    if best is None:
        return kept[-1], "the last one"
    return best, f"{method.best_in_words}, {callback.evaluations[best][method.best]:.4f}"


def export_artifact(job: Job, checkpoint: Path) -> Path:
    """Copy the chosen checkpoint's weights to adapter/ or model/, whole or not at all."""
    name = "adapter" if (checkpoint / "adapter_config.json").exists() else "model"
    target, partial = job.folder.path / name, job.folder.path / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    ignore = shutil.ignore_patterns(*_TRAINER_FILES, "rng_state*.pth")
    shutil.copytree(checkpoint, partial, ignore=ignore)
    job.tokenizer.save_pretrained(partial)
    _name_base(partial)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    return target


def _name_base(adapter: Path) -> None:
    """Let an adapter over a hub model name that model, and not its place in this machine's cache.

    While it trains that place is right: at each save peft looks there for the base's configuration, else at the hub.
    """
    path = adapter / "adapter_config.json"
    config = read_json(path) if path.exists() else {}
    name = name_of_snapshot(str(config.get("base_model_name_or_path")))
    if name is not None:
        write_json_atomic(path, config | {"base_model_name_or_path": name})


def _final_metrics(
    before: dict[str, float], evaluations: dict[int, dict[str, float]], chosen: int
) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {f"{name}_before": value for name, value in before.items() if name != "n"}
    metrics |= evaluations.get(chosen, {})
    return metrics


def _earlier_evaluations(folder: RunFolder, checkpoint: Path) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    last = _step_of(checkpoint)
    found = {
        int(event["step"]): {name: value for name, value in event["metrics"].items() if value is not None}
        for event in iterate_json_lines(folder.events)
        if event.get("type") == "evaluation" and event.get("split") == "validation" and int(event["step"]) <= last
    }
    return found.get(0, {}), found


def _earlier_probe(folder: RunFolder) -> dict[str, float] | None:
    probes = (event for event in iterate_json_lines(folder.events) if event.get("type") == "probe")
    return next((event["metrics"] for event in probes if event.get("step") == 0), None)


def _was_probed(folder: RunFolder, step: int) -> bool:
    """Whether the meter was read at the step, in what the events say of the run's present course."""
    probed = False
    for event in iterate_json_lines(folder.events):
        if event.get("type") == "probe":
            probed = probed or event.get("step") == step
        elif event.get("type") == "resumed" and int(event["from_step"]) < step:
            probed = False
    return probed


def _tokens_until(folder: RunFolder, checkpoint: Path | None) -> int:
    """Real tokens seen up to the checkpoint: TRL counts each sitting from zero."""
    if checkpoint is None:
        return 0
    last = _step_of(checkpoint)
    counts = [
        int(event.get("tokens") or 0)
        for event in iterate_json_lines(folder.events)
        if event.get("type") == "step" and int(event["step"]) <= last
    ]
    return max(counts, default=0)


def _has_begun(folder: RunFolder) -> bool:
    """Whether an earlier sitting took steps; of those nothing was saved, so they are taken again."""
    return any(event.get("type") == "step" for event in iterate_json_lines(folder.events))


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))
