"""REINFORCE leave-one-out: several answers to each prompt, each learned from by how it beats the mean of the others."""

from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.data.report import LoadedData
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods.answering import build_answering_trainer, load_answerable
from rung.engine.training.methods.answering import check as check
from rung.engine.training.methods.answering import completion_length as answer_room  # noqa: F401

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import RLOOTrainer


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The prompts of a data source."""
    return load_answerable(recipe, path, tokenizer)


def build_trainer(job: Job) -> "RLOOTrainer":
    """TRL's RLOOTrainer over the job's prompts and rewards."""
    from trl import RLOOConfig

    from rung.engine.training.methods.rloo_trainer import NumberedRLOOTrainer

    trainer: RLOOTrainer = build_answering_trainer(job, NumberedRLOOTrainer, RLOOConfig)
    return trainer
