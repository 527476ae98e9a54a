"""Brings the doctor of preference runs to a trainer. Imports the training stack: only methods' trainers load it."""

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.checkpoints import latest_checkpoint
from rung.engine.jobs.events import Warned
from rung.engine.training.job import Job
from rung.engine.training.methods.doctor import DEFAULT_KL_LIMIT, DEFAULT_PATIENCE, Finding, PreferenceDoctor
from rung.engine.training.rewards.batch import Reward


class DoctorCallback(TrainerCallback):
    """Writes the doctor's findings as warnings; ends a run whose rewards no longer vary."""

    def __init__(self, job: Job, rewards: Sequence[Reward] = ()) -> None:
        block = job.recipe.method_block()
        self._job = job
        self._rewards = rewards
        self._patience = int(block.get("no_variance_patience") or DEFAULT_PATIENCE)
        self._doctor = PreferenceDoctor(job.recipe.method, float(block.get("kl_limit") or DEFAULT_KL_LIMIT))
        self._recall()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_options: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        for finding in self._examine(state.global_step, logs):
            self._job.reporter.write(Warned(finding.message, finding.details, finding.hint))
        if self._doctor.steps_without_variance >= self._patience:
            self._end(control)

    def on_train_end(self, *_args: Any, **_options: Any) -> None:
        for reward in self._rewards:
            reward.close()

    def _examine(self, step: int, logs: dict[str, Any]) -> list[Finding]:
        return self._doctor.examine(
            step, {name: float(value) for name, value in logs.items() if isinstance(value, (int, float))}
        )

    def _end(self, control: TrainerControl) -> None:
        steps = self._doctor.steps_without_variance
        if not self._doctor.has_varied:
            raise EngineError(
                "No variance in the rewards: nothing can be learned",
                f"over {steps} steps all answers to a prompt got the same reward",
                "an easier task or a reward with partial credit; sft first, so that some answers are right",
            )
        self._job.reporter.write(
            Warned(
                "The run ends: the rewards no longer vary",
                f"for {steps} steps all answers to a prompt got the same reward, so there is no gradient",
                f"{self._job.recipe.method}.no_variance_patience sets how long to wait",
            )
        )
        control.should_evaluate = control.should_save = control.should_training_stop = True

    def _recall(self) -> None:
        """What earlier sittings of the run showed, up to the checkpoint it goes on from, said already."""
        checkpoint = latest_checkpoint(self._job.folder)
        if checkpoint is None:
            return
        last = int(checkpoint.name.removeprefix("step-"))
        steps = {event["step"]: event for event in read_json_lines(self._job.folder.events) if event["type"] == "step"}
        for step in sorted(number for number in steps if number <= last):
            self._examine(step, {**steps[step]["metrics"], "loss": steps[step]["loss"]})
