"""The model a run trains: the recipe's base, what an earlier run made of it, and the adapter."""

from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Warned
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.models.attach import attach_adapter, continue_adapter, load_adapter
from rung.engine.models.load import held_in_training, load_model, load_scorer, model_source
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import AdapterSettings, ModelSettings, Recipe
from rung.engine.training.methods import method_of
from rung.engine.training.named_runs import named_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_policy(recipe: Recipe, root: Path, device: str, reporter: Reporter) -> "tuple[PreTrainedModel, Path | None]":
    """(the model with its adapter, the earlier run's artifact that it goes on from). Raises EngineError."""
    start = start_artifact(recipe, root)
    task = method_of(recipe.method).task
    _check_chain(recipe, root, task)
    settings = held_in_training(base_settings(recipe, root), recipe.adapter is None)
    if recipe.adapter is None and settings.dtype != "float32":
        _tell_half_precision(settings.dtype, reporter)
    model = load_scorer(settings, root, device) if task == "SEQ_CLS" else load_model(settings, root, device)
    if start is None or start.name == "model":
        return _with_new_adapter(model, recipe.adapter, task), start
    if recipe.adapter is None:
        merged = load_adapter(model, start).merge_and_unload()
        return _with_new_adapter(merged, None, task), start
    _tell_other_adapter(recipe, root, reporter)
    if task == "SEQ_CLS" and _task_of_run(start_run(recipe, root)) != task:
        return continue_adapter(model, start, task), start
    return load_adapter(model, start, trainable=True), start


def load_start(recipe: Recipe, root: Path, device: str) -> "PreTrainedModel":
    """The model as the run finds it, before anything of its own is trained: for the answers it gives until then."""
    start = start_artifact(recipe, root)
    _check_chain(recipe, root, "CAUSAL_LM")
    model = load_model(base_settings(recipe, root), root, device)
    if start is None or start.name == "model":
        return model
    adapted: PreTrainedModel = load_adapter(model, start).eval()
    return adapted


def hold_trained_in_float32(model: "PreTrainedModel", recipe: Recipe, autocast: bool) -> None:
    """What is trained beside a frozen base is held in float32, and so is all else that is trained under autocast.

    In half precision small steps are rounded away. Over 4-bit weights TRL rounds a new adapter to bfloat16, but PEFT
    loads a saved one in float32: in float32 from the start, a resumed run has the curve of an unbroken one.
    """
    import torch

    if recipe.adapter is None and recipe.model.dtype != "auto":
        return
    for parameter in model.parameters():
        if parameter.requires_grad and (autocast or getattr(model, "is_loaded_in_4bit", False)):
            parameter.data = parameter.data.to(torch.float32)


def base_settings(recipe: Recipe, root: Path) -> ModelSettings:
    """The model under the adapter: the recipe's, or the full tune at the end of the chain of `start_from`."""
    run = start_run(recipe, root)
    artifact = run.artifact() if run else None
    if run is None or artifact is None:
        return recipe.model
    if artifact.name == "model":
        return recipe.model.model_copy(update={"name": str(artifact), "revision": None})
    below = base_settings(load_recipe(run.recipe), root)
    return recipe.model.model_copy(update={"name": below.name, "revision": below.revision})


def start_run(recipe: Recipe, root: Path) -> RunFolder | None:
    """The run that the recipe goes on from. Raises EngineError when there is no such run."""
    if recipe.start_from is None:
        return None
    kind, _, name = recipe.start_from.partition(":")
    if kind != "run" or not name:
        raise EngineError(f"start_from: {recipe.start_from} is not understood", hint="write start_from: run:ID")
    return named_run(root, name)


def start_artifact(recipe: Recipe, root: Path) -> Path | None:
    """The adapter/ or model/ that the recipe goes on from. Raises EngineError when the run has none."""
    run = start_run(recipe, root)
    if run is None:
        return None
    artifact = run.artifact()
    if artifact is None:
        raise EngineError(f"The run {run.id} has no result to go on from", hint="only finished runs have one")
    return artifact


def _with_new_adapter(model: "PreTrainedModel", adapter: AdapterSettings | None, task: str) -> "PreTrainedModel":
    if adapter is None:
        model.requires_grad_(True)
        return model
    wrapped: PreTrainedModel = attach_adapter(model, adapter, task)
    return wrapped


def _tell_half_precision(dtype: str, reporter: Reporter) -> None:
    reporter.write(
        Warned(
            f"Every weight is trained in {dtype}, as model.dtype asks: steps too small for it are rounded away",
            "at a learning rate of 1e-5 that is nearly all of them",
            "leave model.dtype at auto: float32 weights, computed in bfloat16 where the GPU can",
        )
    )


def _check_chain(recipe: Recipe, root: Path, task: str) -> None:
    run = start_run(recipe, root)
    if run is None:
        return
    if _task_of_run(run) == "SEQ_CLS" and task != "SEQ_CLS":
        raise EngineError(
            f"{recipe.method} can't go on from {run.id}: a reward model gives scores, not answers",
            f"start_from: {recipe.start_from}",
            "start from the run it was trained on; the reward model goes into rewards: [{name: model, run: ID}]",
        )
    earlier = load_recipe(run.recipe).model.name
    if model_source(earlier, root) != model_source(recipe.model.name, root):
        raise EngineError(
            "start_from names a run of another model",
            f"{run.id} trained {earlier}, model.name is {recipe.model.name}",
            f"set model.name to {earlier}",
        )


def _task_of_run(run: RunFolder | None) -> str:
    return method_of(load_recipe(run.recipe).method).task if run else ""


def _tell_other_adapter(recipe: Recipe, root: Path, reporter: Reporter) -> None:
    """An adapter that is gone on with keeps its own shape, whatever this recipe's block says."""
    run = start_run(recipe, root)
    earlier = load_recipe(run.recipe).adapter if run else None
    asked = recipe.adapter
    if earlier is None or asked is None or (earlier.kind, earlier.r) == (asked.kind, asked.r):
        return
    reporter.write(
        Warned(
            "The adapter keeps the shape it has",
            f"the run it goes on from has {earlier.kind} r={earlier.r}, this recipe says {asked.kind} r={asked.r}",
            "for a new adapter, leave start_from out, or start from a run that trained in full",
        )
    )
