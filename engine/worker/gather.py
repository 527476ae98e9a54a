"""From a recipe to a loaded job: tokenizer, data, model and adapter, each step told as it happens."""

from pathlib import Path

from engine.errors import EngineError
from engine.events import Phase
from engine.methods import check_block, prepare_recipe
from engine.models import context_length, load_tokenizer, pick_device
from engine.recipe.schema import Recipe
from engine.runs.folder import RunFolder
from engine.worker.gate import refuse
from engine.worker.job import Job, make_schedule
from engine.worker.policy import load_policy
from engine.worker.replay import with_replay
from engine.worker.reporter import Reporter
from engine.worker.splits import read_splits, tell


def gather(recipe: Recipe, folder: RunFolder, root: Path, reporter: Reporter) -> Job:
    """Everything the method needs, loaded and checked. Raises EngineError for what a person must mend."""
    device = pick_device()
    check_block(recipe, root)
    reporter.write(Phase("tokenise"))
    tokenizer = load_tokenizer(recipe.model, root)
    recipe = prepare_recipe(recipe, folder, root, device, tokenizer, reporter)
    train, validation = read_splits(recipe, root, tokenizer)
    tell(train, "training", reporter)
    tell(validation, "validation", reporter)
    refuse(recipe, train, reporter)
    reporter.write(Phase("load"))
    model, start = load_policy(recipe, root, device, reporter)
    _check_length(recipe, context_length(model.config))
    train = with_replay(train, recipe, root, folder, tokenizer, model, reporter)
    schedule = make_schedule(recipe, len(train.encoded))
    return Job(recipe, folder, root, reporter, device, tokenizer, model, train, validation, schedule, start)


def _check_length(recipe: Recipe, limit: int | None) -> None:
    if limit is not None and recipe.data.max_length > limit:
        raise EngineError(
            f"data.max_length is {recipe.data.max_length}, but the model was made for {limit} tokens",
            f"model: {recipe.model.name}",
            f"set data.max_length to {limit} or less",
        )
