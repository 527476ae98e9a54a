"""Out of memory: the micro-batch is halved, more of them make up a step, and the worker starts again.

A process of its own, because what an allocator holds after a failure is not given back. It is the same process to
everybody else (`exec`): its id, its lock on the run and its place in the queue stay.
"""

import os
import sys
from collections.abc import Iterable

from rung.engine.core.files import write_text_atomic
from rung.engine.jobs.events import Recovered
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import HeldLock
from rung.engine.jobs.program import worker_command
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.load import dump_recipe
from rung.engine.recipe.schema import Recipe


class OutOfMemory(Exception):
    """The memory ran out in a training step or an evaluation, where a smaller micro-batch helps."""


def with_smaller_batch(recipe: Recipe) -> Recipe | None:
    """The recipe with its micro-batch halved, or the largest smaller part that keeps the effective batch; None at 1."""
    training = recipe.training
    batch = training.per_device_train_batch_size
    part = next((size for size in range(batch // 2, 0, -1) if batch % size == 0), None)
    if part is None:
        return None
    changed = {
        "per_device_train_batch_size": part,
        "gradient_accumulation_steps": training.gradient_accumulation_steps * batch // part,
    }
    # Validated anew, so that what the recipe itself sets stays told apart from its defaults.
    given = training.model_dump(exclude_unset=True) | changed
    if (evaluated := given.get("per_device_eval_batch_size")) is not None:
        given["per_device_eval_batch_size"] = min(evaluated, part)
    value = recipe.model_dump(exclude_unset=True) | {"training": given}
    block = recipe.method_block()
    if (steps := block.get("steps_per_generation")) is not None:
        value[recipe.method] = block | {"steps_per_generation": steps * batch // part}
    return Recipe.model_validate(value)


def shrink(folder: RunFolder, recipe: Recipe, said: str, reporter: Reporter) -> bool:
    """Write the run's recipe with the smaller micro-batch, and tell; False where there is none."""
    smaller = with_smaller_batch(recipe)
    if smaller is None:
        return False
    write_text_atomic(folder.recipe, dump_recipe(smaller))
    reporter.write(Recovered(f"out of memory: {said}", _batches(recipe), _batches(smaller)))
    return True


def start_again(folder: RunFolder, locks: Iterable[HeldLock]) -> None:
    """Become a fresh worker of the same run. Never returns."""
    _end_children()
    _close_on_exec()
    for lock in locks:
        lock.keep_over_exec()
    command = worker_command("train", str(folder.path))
    os.execv(sys.executable, command)


def _batches(recipe: Recipe) -> dict[str, int]:
    names = ("per_device_train_batch_size", "gradient_accumulation_steps")
    return {name: getattr(recipe.training, name) for name in names}


def _end_children() -> None:
    """Data loaders and reward functions would outlive the change: to them this process never ended."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=5.0)


def _close_on_exec() -> None:
    """No descriptor but the standard ones goes over: a GPU's would hold its memory."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                continue  # The folder's own descriptor, closed since.
