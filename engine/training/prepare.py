"""From a recipe to a loaded job: tokenizer, data, model and adapter, each step told as it happens."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_text_atomic
from rung.engine.data.report import with_stops
from rung.engine.data.template import require_template
from rung.engine.hub.download import tell_downloads_to
from rung.engine.jobs.events import Phase, Warned
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.machine.gpus import visible_gpus
from rung.engine.models.load import context_length, generation_stop_ids, load_tokenizer, pick_device
from rung.engine.recipe.load import dump_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.downloads import run_downloads
from rung.engine.training.held_out_leaks import leak_refusals
from rung.engine.training.job import Job, make_schedule
from rung.engine.training.launch_checks import context_refusals, disk_refusals, refusals, refuse
from rung.engine.training.methods import check_block, prepare_recipe
from rung.engine.training.model import load_policy
from rung.engine.training.replay import with_replay
from rung.engine.training.resume_check import changed_inputs
from rung.engine.training.rows import read_splits, tell

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def gather(recipe: Recipe, folder: RunFolder, root: Path, reporter: Reporter) -> Job:
    """Everything the method needs, loaded and checked. Raises EngineError for what a person must mend."""
    device = pick_device()
    _tell_unused_gpu(device, reporter)
    check_block(recipe, root)
    tell_downloads_to(run_downloads(folder, reporter))
    # First of all: preparing may ask a teacher for hours.
    refuse(leak_refusals(recipe, root), recipe, reporter)
    reporter.write(Phase("tokenise"))
    recipe, tokenizer = with_template(recipe, folder, root, reporter)
    recipe = prepare_recipe(recipe, folder, root, device, tokenizer, reporter)
    train, validation = read_splits(recipe, root, tokenizer)
    train = with_stops(train, generation_stop_ids(recipe.model, root))
    tell(train, "training", reporter)
    tell(validation, "validation", reporter)
    refuse(changed_inputs(recipe, folder, train, validation) | refusals(recipe, train), recipe, reporter)
    reporter.write(Phase("load"))
    model, start = load_policy(recipe, root, device, reporter)
    refuse(context_refusals(recipe, context_length(model.config)), recipe, reporter)
    train = with_replay(train, recipe, root, folder, tokenizer, model, reporter)
    schedule = make_schedule(recipe, len(train.encoded), len(validation.encoded))
    saved, optimizer = _checkpoint_sizes(model)
    refuse(disk_refusals(recipe, saved, optimizer, schedule.num_saves, folder.path), recipe, reporter)
    return Job(recipe, folder, root, reporter, device, tokenizer, model, train, validation, schedule, start)


def _tell_unused_gpu(device: str, reporter: Reporter) -> None:
    gpus = visible_gpus() if device == "cpu" else []
    if gpus:
        reporter.write(
            Warned(
                f"{gpus[0]} is free, but torch of {sys.executable} can't use it: this run trains on the CPU",
                "that torch is a build for the CPU, or made for a newer driver",
                "rung doctor shows the torch of each interpreter; worker_python names another",
            )
        )


def with_template(
    recipe: Recipe, folder: RunFolder, root: Path, reporter: Reporter
) -> "tuple[Recipe, PreTrainedTokenizerBase]":
    """The tokenizer, and the recipe; where the tokenizer has no template and the recipe overrides that, with `plain`.

    The run's own recipe then names it, so that whatever answers with the result writes chats as the training did.
    """
    tokenizer = load_tokenizer(recipe.model, root)
    if tokenizer.chat_template or "template" not in recipe.overrides:
        return recipe, tokenizer
    try:
        require_template(tokenizer)
    except EngineError as error:
        refuse({"template": error}, recipe, reporter)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"chat_template": "plain"})})
    write_text_atomic(folder.recipe, dump_recipe(recipe))
    return recipe, load_tokenizer(recipe.model, root)


def _checkpoint_sizes(model: "PreTrainedModel") -> tuple[int, int]:
    """Bytes of the weights that a checkpoint holds, and of AdamW's two moments for those that are trained."""
    trained = sum(weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad)
    return trained, 2 * trained
