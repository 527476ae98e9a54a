"""The last test before a launch: a real training step (in full: two) and a real evaluation on the longest rows.

It runs the method's own trainer, at a learning rate of zero, and leaves weights and random numbers as they were. What
does not fit in memory fails here, in the first minute; what it took stands beside the forecast.
"""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Phase
from rung.engine.training.footprint import Footprint
from rung.engine.training.job import Job
from rung.engine.training.methods.rows import StepRows

if TYPE_CHECKING:
    from transformers import Trainer

# What trainers count over their lifetime, which the test is no part of.
_COUNTERS = (
    "_metrics", "_stored_metrics", "_pending_metrics", "_logs", "_total_train_tokens", "_step", "_buffered_inputs",
    "_last_loaded_step", "_tokens_before", "_num_tokens", "entropy_coef", "_last_world_entropy",
    "_entropy_window_stats",
)  # fmt: skip
_PLAIN_ARGUMENTS: dict[str, Any] = {
    "max_steps": 1,
    "learning_rate": 0.0,
    "warmup_steps": 0,
    "lr_scheduler_type": "constant",
    "lr_scheduler_kwargs": None,
}


def run_preflight(job: Job, trainer: "Trainer", footprint: Footprint, step_rows: StepRows) -> None:
    """Take the step and the evaluation, and write what they took. Raises EngineError for a loss that is no number."""
    import torch

    job.reporter.write(Phase("preflight"))
    train, validation = _lengths(trainer, trainer.train_dataset), _lengths(trainer, trainer.eval_dataset)
    longest, held = _longest(train, _rows_a_step(trainer)), _longest(validation, trainer.args.eval_batch_size)
    with torch.random.fork_rng(), _as_before(trainer):
        trainer.train_dataset = trainer.train_dataset.select(longest)
        trainer.eval_dataset = trainer.eval_dataset.select(held)
        # The first step ends with the making of the moments: where every weight has them, the peak is the second's.
        trainer.args.max_steps = 2 if job.recipe.adapter is None else 1
        began = time.perf_counter()
        loss = trainer.train().training_loss
        trained = time.perf_counter()
        if not math.isfinite(loss):
            raise _no_number(job, step_rows)
        trainer.evaluate()
        evaluated = time.perf_counter()
    schedule = job.schedule
    step_seconds = (trained - began) / (2 if job.recipe.adapter is None else 1) * _share(train, longest)
    batches = -(-len(validation) // max(1, trainer.args.eval_batch_size))
    evaluation_seconds = (evaluated - trained) * batches * _share(validation, held)
    evaluations = 1 + -(-schedule.total_steps // schedule.eval_steps)
    footprint.measure(job, schedule.total_steps * step_seconds + evaluations * evaluation_seconds)


@contextmanager
def _as_before(trainer: "Trainer") -> Iterator[None]:
    """Nothing listens to the trainer meanwhile, and afterwards it is as new."""
    from transformers import TrainerControl, TrainerState
    from transformers.trainer_callback import DefaultFlowCallback

    handler = trainer.callback_handler
    kept: dict[str, Any] = {name: getattr(trainer, name) for name in ("train_dataset", "eval_dataset")}
    counted = {name: copy.deepcopy(getattr(trainer, name)) for name in _COUNTERS if hasattr(trainer, name)}
    arguments = {name: getattr(trainer.args, name) for name in _PLAIN_ARGUMENTS}
    callbacks, handler.callbacks = handler.callbacks, [DefaultFlowCallback()]
    try:
        for name, value in _PLAIN_ARGUMENTS.items():
            setattr(trainer.args, name, value)
        yield
    finally:
        handler.callbacks = callbacks
        for name, value in arguments.items():
            setattr(trainer.args, name, value)
        for name, value in (kept | counted).items():
            setattr(trainer, name, value)
        trainer.optimizer = trainer.lr_scheduler = None
        trainer.model_wrapped = trainer.model
        trainer.model.zero_grad(set_to_none=True)
        trainer.state, trainer.control = TrainerState(), TrainerControl()


def _lengths(trainer: "Trainer", rows: Any) -> list[int]:
    """Tokens of each row; methods that answer know a prompt by its number."""
    if "length" in rows.column_names:
        return list(rows["length"])
    if "prompt" in rows.column_names and hasattr(trainer, "take_prompts"):
        return [trainer.prompt_length(int(number)) for number in rows["prompt"]]
    return [sum(len(value) for value in row.values() if isinstance(value, list)) for row in rows]


def _longest(lengths: Sequence[int], count: int) -> list[int]:
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])[: max(1, count)]


def _rows_a_step(trainer: "Trainer") -> int:
    args = trainer.args
    generations = getattr(trainer, "num_generations", 1) or 1
    rows = getattr(args, "generation_batch_size", None) or args.train_batch_size * args.gradient_accumulation_steps
    return int(rows // generations)


def _share(lengths: Sequence[int], longest: Sequence[int]) -> float:
    """A mean row's length over that of the longest rows: what a usual batch takes of the time that those took."""
    most = sum(lengths[row] for row in longest) / len(longest)
    return sum(lengths) / len(lengths) / most if most else 1.0


def _no_number(job: Job, step_rows: StepRows) -> EngineError:
    lines = ", ".join(map(str, step_rows.lines()))
    return EngineError(
        "The loss is not a number on the longest rows",
        f"lines {lines} of {job.recipe.data.train}" if lines else "",
        "look at those rows, or load the model with another dtype (model.dtype)",
    )
