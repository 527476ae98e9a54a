"""Group relative policy optimisation: several answers to each prompt, each learned from by how it beats its group."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.data.report import LoadedData
from engine.methods.answering import build_answering_trainer, load_answerable
from engine.methods.answering import check as check
from engine.methods.answering import completion_length as answer_room  # noqa: F401
from engine.recipe.schema import Recipe
from engine.worker.job import Job

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOTrainer


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The prompts of a data source."""
    return load_answerable(recipe, path, tokenizer)


def build_trainer(job: Job) -> "GRPOTrainer":
    """TRL's GRPOTrainer over the job's prompts and rewards."""
    from trl import GRPOConfig

    from engine.methods.grpo_trainer import NumberedGRPOTrainer

    trainer: GRPOTrainer = build_answering_trainer(job, NumberedGRPOTrainer, GRPOConfig)
    return trainer
