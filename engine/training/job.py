"""What one training run works with, gathered before the trainer is built."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.data.report import LoadedData
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods import method_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


MOST_EVALUATIONS = 10
LEAST_STEPS_BETWEEN = 10
DEFAULT_GENERATIONS = 8
"""Answers to each training prompt, where the method's block doesn't say."""


@dataclass(frozen=True)
class Schedule:
    """Optimizer steps: how many in all, and how many between evaluations, checkpoints, probes and samples."""

    total_steps: int
    eval_steps: int
    save_steps: int
    probe_steps: int
    sample_steps: int

    @property
    def num_saves(self) -> int:
        """Checkpoints over the whole run."""
        return -(-self.total_steps // self.save_steps)

    def is_due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many steps happens at this one; the last step always counts."""
        return step % every == 0 or step == self.total_steps


@dataclass(frozen=True)
class Job:
    """One run with everything loaded. `model` carries the adapter already, unless all weights are trained.

    `start` is the earlier run's artifact that the model goes on from; where it is an adapter, training goes on in it.
    """

    recipe: Recipe
    folder: RunFolder
    root: Path
    reporter: Reporter
    device: str
    tokenizer: "PreTrainedTokenizerBase"
    model: "PreTrainedModel"
    train: LoadedData
    validation: LoadedData
    schedule: Schedule
    start: Path | None = None


def make_schedule(recipe: Recipe, num_rows: int, num_held: int = 0, world_size: int = 1) -> Schedule:
    """Steps of a recipe over `num_rows` training rows, with `num_held` rows to evaluate on."""
    training = recipe.training
    if method_of(recipe.method).answers_in_training:
        block = recipe.method_block()
        num_rows *= int(block.get("num_generations", DEFAULT_GENERATIONS)) * int(block.get("num_iterations", 1))
    micro_batches = -(-num_rows // (training.per_device_train_batch_size * world_size))
    steps_per_epoch = max(1, -(-micro_batches // training.gradient_accumulation_steps))
    total = training.max_steps if training.max_steps > 0 else max(1, round(steps_per_epoch * training.num_train_epochs))
    rows_a_step = -(-num_rows // steps_per_epoch)
    eval_steps = training.eval_steps or _usual_eval_steps(total, -(-num_held // max(1, rows_a_step)))
    return Schedule(
        total_steps=total,
        eval_steps=eval_steps,
        save_steps=training.save_steps or eval_steps,
        probe_steps=recipe.probe.every_steps or eval_steps,
        sample_steps=recipe.samples.every_steps or eval_steps,
    )


def _usual_eval_steps(total: int, steps_worth: int) -> int:
    """Steps between evaluations where the recipe doesn't say: ten over the run, in a short one fewer, at least one.

    An evaluation brings probe, samples and a checkpoint with it, and a short run would do little else. Over the run
    no more rows are evaluated than are trained on; `steps_worth` is how many steps take as many rows as it has.
    """
    between = max(LEAST_STEPS_BETWEEN, steps_worth)
    return -(-total // max(1, min(MOST_EVALUATIONS, total // between)))
