"""Continued pretraining: the model reads on in text of a domain, every token learned, over TRL's SFTTrainer."""

from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.data.report import LoadedData
from rung.engine.data.running_text import load_running_text
from rung.engine.recipe.schema import Recipe
from rung.engine.training.methods.sft import build_trainer as build_trainer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The text of a data source in windows of `max_length` tokens."""
    data = recipe.data
    return load_running_text(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_length=data.max_length,
        template_args=recipe.model.template_args,
    )
