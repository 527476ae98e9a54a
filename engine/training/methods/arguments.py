"""TRL arguments that every method shares, from a recipe. Recipe fields win; what the worker governs is set here."""

import dataclasses
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.recipe.trl_arguments import own_fields
from rung.engine.training.job import Job

# Fields of `training:` that the worker acts on itself, at its own step ends.
_OWN = {"eval_steps", "save_steps", "save_total_limit", "early_stopping_patience", "warmup_ratio"}
OUTPUT_FOLDER = ".trainer"


def trl_arguments(job: Job, config_class: type, **method_defaults: Any) -> Any:
    """An instance of the method's TRL configuration."""
    training = job.recipe.training
    given = {name: value for name, value in training.model_dump().items() if name not in _OWN}
    ours = own_fields(job.recipe.method)
    block = {name: value for name, value in job.recipe.method_block().items() if name not in ours}
    on_gpu = job.device != "cpu"
    arguments: dict[str, Any] = {
        "bf16": False,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "per_device_eval_batch_size": training.per_device_train_batch_size,
        **method_defaults,
        **given,
        **block,
        "output_dir": str(job.folder.path / OUTPUT_FOLDER),
        "seed": job.recipe.seed,
        "report_to": job.recipe.report_to or "none",
        "run_name": job.folder.id,
        "max_steps": job.schedule.total_steps,
        "warmup_steps": round(job.schedule.total_steps * training.warmup_ratio),
        # The callback evaluates, saves and stops at step ends; every step is logged, as every step is an event.
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_total_limit": None,
        "disable_tqdm": True,
    }
    known = {item.name for item in dataclasses.fields(config_class)}
    unknown = sorted(set(given) - known | set(block) - known)
    if unknown:
        raise EngineError(
            f"{config_class.__name__} has no argument {unknown[0]}",
            f"recipe: {', '.join(unknown)}",
            "rung check lists them",
        )
    try:
        built = config_class(**{name: value for name, value in arguments.items() if name in known})
    except (TypeError, ValueError) as error:
        raise EngineError("TRL refuses the training arguments", str(error), "see training: in the recipe") from error
    return on_one_gpu(built)


def on_one_gpu(arguments: Any) -> Any:
    """The arguments, counting one GPU where there are more: a Trainer would spread the model over all (DataParallel).

    A run has made its GPU the only visible one; this holds where that could not be.
    """
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def construct(trainer_class: Any, **options: Any) -> Any:
    """The trainer. What TRL refuses, it refuses with a ValueError that says why: raised as an EngineError."""
    try:
        return trainer_class(**options)
    except (ValueError, NotImplementedError) as error:
        raise EngineError("TRL refuses this recipe", str(error), "see the method's block in the recipe") from error


def default_precision(job: Job) -> bool:
    """Whether to autocast to bfloat16: on a GPU that computes it, when the recipe leaves the dtype open."""
    import torch

    return job.device != "cpu" and torch.cuda.is_bf16_supported() and job.recipe.model.dtype in ("auto", "bfloat16")
