"""AI feedback (Constitutional AI, Bai et al. 2022): the model criticises its own answers and learns the better ones.

First and revised answers become preference pairs in the run's `pairs.jsonl`. There the run stops, unless the recipe
says otherwise, for a person to read and weed them; resumed, it trains on what the file then holds, by DPO.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.files import iterate_json_lines, read_json
from rung.engine.data.report import LoadedData
from rung.engine.jobs.ending import RunEnded
from rung.engine.jobs.events import Stopped
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.metrics.judge_check import read_labels
from rung.engine.models.load import model_source
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods.constitution_settings import constitution_settings, read_principles
from rung.engine.training.methods.dpo import build_trainer as build_trainer
from rung.engine.training.methods.dpo import known_losses
from rung.engine.training.methods.pair_making import FOLDER, PAIRS, SUMMARY, VALIDATION_PAIRS, PairMaking, load_prompts
from rung.engine.training.methods.pair_making import answer_room as answer_room
from rung.engine.training.methods.paired import load_data as load_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check(recipe: Recipe, root: Path) -> None:
    """Raise EngineError for principles, a judge or a loss that there aren't."""
    settings = constitution_settings(recipe)
    read_principles(settings, root)
    known_losses(recipe.constitution.get("loss_type", []))
    if settings.judge is not None and settings.judge.model is not None:
        model_source(settings.judge.model.name, root)
    if settings.judge is not None and settings.judge.labels is not None:
        read_labels(root / settings.judge.labels)


def plan(recipe: Recipe, root: Path, train: LoadedData) -> list[str]:
    """What a launch will do, in sentences."""
    settings = constitution_settings(recipe)
    prompts, principles = len(train.examples), read_principles(settings, root)
    answers = prompts * (1 + 2 * settings.rounds)
    said = [
        f"each of {prompts:,} prompts is answered; each answer is criticised and revised, {settings.rounds} x, by one "
        f"of {len(principles)} principles: {answers:,} answers of at most {settings.max_new_tokens} tokens"
    ]
    if settings.judge is not None:
        kept = "; pairs whose revision it doesn't prefer are left out" if settings.keep == "judged" else ""
        said.append(
            f"the judge ({settings.judge.words}) compares each revised answer with the first one, in both orders: at "
            f"most {2 * prompts:,} verdicts{kept}"
        )
    train_words = "DPO on the pairs, against a frozen copy of the model that answered"
    if settings.review:
        said.append(f"then the run stops, its {PAIRS} for you to read and weed; rung resume goes on with {train_words}")
    else:
        said.append(f"then, at once, {train_words}")
    return said


def prepare(
    recipe: Recipe, folder: RunFolder, root: Path, device: str, tokenizer: "PreTrainedTokenizerBase", reporter: Reporter
) -> Recipe:
    """The recipe with the pairs as its data, made where they aren't yet.

    Raises RunEnded where a person is to read them first, and EngineError where no prompt gives a pair.
    """
    settings = constitution_settings(recipe)
    if not (folder.path / PAIRS).exists():
        PairMaking(recipe, settings, folder, root, device, tokenizer, reporter).make()
    if settings.review and not _was_reviewed(folder):
        words = f"the pairs are made: read {folder.path / PAIRS}, take out the lines you don't want"
        raise RunEnded(Stopped(0, True, f"{words}; then rung resume {folder.id} trains on the rest"))
    made: dict[str, Any] = {"train": str(folder.path / PAIRS), "shape": "preference", "columns": {}}
    if recipe.data.validation is not None:
        made["validation"] = str(folder.path / VALIDATION_PAIRS)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=made)})


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The pairs, once they are made; before that, the prompts."""
    if path.name in (PAIRS, VALIDATION_PAIRS) and (path.parent / FOLDER).is_dir():
        return load_pairs(recipe, path, tokenizer)
    return load_prompts(recipe, path, tokenizer)


def report(folder: RunFolder) -> list[str]:
    """The lines about the pairs for report.md."""
    summary = read_json(folder.path / FOLDER / SUMMARY)
    figures = ", ".join(f"{name} {value:.3f}" for name, value in summary["metrics"].items())
    lines = [
        f"- pairs: {summary['pairs']} of {summary['prompts']} prompts, in {PAIRS}; {figures}",
        *(f"- no pair from {reason}" for reason in summary["dropped"]),
    ]
    return [*lines, f"- judge: {summary['judge']}; {summary['checked']}"] if summary["judge"] else lines


def _was_reviewed(folder: RunFolder) -> bool:
    """Whether an earlier sitting has stopped to show the pairs."""
    return any(event.get("type") == "stopped" and event.get("reason") for event in iterate_json_lines(folder.events))
