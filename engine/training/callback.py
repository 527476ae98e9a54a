"""The trainer's callback: steps become events, requests are taken, checkpoints are adopted whole.

The only place that decides when to evaluate, save, sample and stop, so that a run behaves the same for every method.
"""

import math
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rung.engine.core.errors import EngineError
from rung.engine.jobs.checkpoints import adopt_checkpoint, rotate
from rung.engine.jobs.events import CheckpointSaved, Evaluation, Phase, Step, StopRequested
from rung.engine.jobs.reader import RunReader
from rung.engine.jobs.requests import take_requests
from rung.engine.training.footprint import Footprint
from rung.engine.training.forgetting_guard import ForgettingGuard
from rung.engine.training.job import Job
from rung.engine.training.methods import method_of
from rung.engine.training.methods.rows import StepRows
from rung.engine.training.probe.meter import ForgettingProbe
from rung.engine.training.samples import PinnedPrompts

# Of a perplexity that is worth a number: beyond, it says no more than the loss.
LARGEST_LOSS = 50.0
_STEP_FIELDS = {"loss", "grad_norm", "learning_rate", "epoch", "num_tokens"}
# What the trainer logs at its end, of no use on a curve.
_LEFT_OUT = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")


class RunCallback(TrainerCallback):
    """Reports a run and steers it. `evaluations` is validation figures by step; `ended_by` says who stopped it.

    With `look_first`, the step that a sitting goes on from is looked at before the next is taken.
    """

    def __init__(self, job: Job, footprint: Footprint, tokens_before: int = 0) -> None:
        self._job = job
        self._method = method_of(job.recipe.method)
        self._footprint = footprint
        self._steps_seen = 0
        self._end_next = False
        self._tokens_before = tokens_before
        self._tokens_seen = 0
        self._step_began = time.perf_counter()
        self._save_reason = "schedule"
        self._looked_step = 0
        self._guard: ForgettingGuard | None = None
        self.evaluations: dict[int, dict[str, float]] = {}
        self.ended_by: str | None = None
        self.samples: PinnedPrompts | None = None
        self.probe: ForgettingProbe | None = None
        self.step_rows: StepRows | None = None
        self.look_first = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        if self.look_first:
            self.look(state.global_step, options["lr_scheduler"])
        self._job.reporter.write(Phase("train", 0, self._job.schedule.total_steps, "steps"))

    def on_step_begin(self, *_args: Any, **_options: Any) -> None:
        self._step_began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_options: Any
    ) -> None:
        schedule, step = self._job.schedule, state.global_step
        control.should_evaluate = schedule.is_due(step, schedule.eval_steps)
        control.should_save = schedule.is_due(step, schedule.save_steps)
        self._save_reason = "end" if step == schedule.total_steps else "schedule"
        if self._end_next:
            self._end("stop", control)
        for kind, who in take_requests(self._job.folder).items():
            if kind != "stop" or step < schedule.total_steps:  # At the last step the run ends anyway.
                self._obey(kind, who, control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_options: Any,
    ) -> None:
        logs = logs or {}
        # The curve lives in events.jsonl; a copy in every checkpoint would grow with the square of the run.
        del state.log_history[:-1]
        if "loss" not in logs:
            return
        seconds = time.perf_counter() - self._step_began
        loss = float(logs["loss"])
        if "perplexity" in self._method.curves and loss < LARGEST_LOSS:
            logs = {**logs, "perplexity": math.exp(loss)}
        tokens = int(logs.get("num_tokens") or 0)
        self._job.reporter.write(
            Step(
                step=state.global_step,
                epoch=round(float(state.epoch or 0.0), 4),
                loss=loss,
                learning_rate=_number(logs.get("learning_rate")),
                grad_norm=_number(logs.get("grad_norm")),
                tokens=self._tokens_before + tokens,
                tokens_per_second=round((tokens - self._tokens_seen) / seconds, 1) if seconds else None,
                seconds=round(seconds, 4),
                metrics={
                    name: _number(value)
                    for name, value in logs.items()
                    if name not in _STEP_FIELDS and name not in _LEFT_OUT
                },
            )
        )
        self._tokens_seen = tokens
        self._measure_second_step()
        if not math.isfinite(loss):
            self._refuse_non_finite(state.global_step)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_options: Any,
    ) -> None:
        figures = validation_figures(metrics or {}, self._job)
        self.evaluations[state.global_step] = figures
        self._job.reporter.write(Evaluation(state.global_step, "validation", dict(figures)))
        if self._patience_is_over():
            self.ended_by = "early stopping"
            control.should_training_stop = control.should_save = True
            self._save_reason = "stop"

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_options: Any) -> None:
        step = state.global_step
        written = Path(str(args.output_dir)) / f"checkpoint-{step}"
        adopted = adopt_checkpoint(self._job.folder, written, step)
        self._job.reporter.write(
            CheckpointSaved(step, str(adopted.relative_to(self._job.folder.path)), self._save_reason)
        )
        rotate(self._job.folder, self._job.recipe.training.save_total_limit, self.best_step())

    def look(self, step: int, scheduler: Any) -> None:
        """Answer the pinned prompts and measure forgetting where they are due, once a step."""
        schedule = self._job.schedule
        if step == self._looked_step or self.ended_by is not None:
            return
        self._looked_step = step
        if self.samples is not None and schedule.is_due(step, schedule.sample_steps):
            self.samples.answer(step)
        # The last step's probe comes with all its questions once training is over.
        if self.probe is not None and step % schedule.probe_steps == 0 and step != schedule.total_steps:
            self.probe.measure(step, whole=False)
            if self._guard is None:
                self._guard = ForgettingGuard(self._job, self.probe)
            # This step is over: the next one saves and ends.
            self._end_next = self._guard.should_stop(scheduler)

    def best_step(self) -> int | None:
        """The step with the best validation figure so far."""
        return self._method.best_step(self.evaluations)

    def _measure_second_step(self) -> None:
        """The first step warms up caches and makes the optimizer's moments; the second shows memory and pace."""
        self._steps_seen += 1
        if self._steps_seen == 2:
            self._footprint.measure(self._job, RunReader(self._job.folder).catch_up().seconds_left())

    def _obey(self, kind: str, who: str, control: TrainerControl) -> None:
        if kind == "checkpoint":
            control.should_save = True
            self._save_reason = "request"
            return
        self._job.reporter.write(StopRequested(who))
        self._end(kind, control)

    def _end(self, kind: str, control: TrainerControl) -> None:
        self.ended_by = kind
        control.should_training_stop = True
        control.should_evaluate = False
        control.should_save = kind == "stop"
        self._save_reason = "stop"

    def _patience_is_over(self) -> bool:
        patience = self._job.recipe.training.early_stopping_patience
        best = self.best_step()
        if patience is None or best is None:
            return False
        return sum(1 for step in self.evaluations if step > best) >= patience

    def _refuse_non_finite(self, step: int) -> None:
        lines = ", ".join(map(str, self.step_rows.lines())) if self.step_rows is not None else ""
        raise EngineError(
            f"The loss is not a number at step {step}",
            f"its batch held the rows of lines {lines} of {self._job.recipe.data.train}" if lines else "",
            "lower training.learning_rate, or look at those rows; the last checkpoint is whole",
        )


def validation_figures(metrics: dict[str, float], job: Job) -> dict[str, float]:
    """The trainer's `eval_…` figures under plain names, with n and, for a loss per token, the perplexity."""
    left_out = {"runtime", "samples_per_second", "steps_per_second", "num_tokens", "model_preparation_time", "epoch"}
    figures = {
        name.removeprefix("eval_"): float(value) for name, value in metrics.items() if isinstance(value, (int, float))
    }
    figures = {name: value for name, value in figures.items() if name not in left_out}
    if "perplexity" in method_of(job.recipe.method).figures and figures.get("loss", LARGEST_LOSS) < LARGEST_LOSS:
        figures["perplexity"] = math.exp(figures["loss"])
    return {**figures, "n": len(job.validation.encoded)}


def clear_partial_output(folder: Path) -> None:
    """Remove what a killed sitting left half-written in the trainer's own folder."""
    if folder.exists():
        shutil.rmtree(folder)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
