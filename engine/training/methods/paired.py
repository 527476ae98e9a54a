"""What methods over preference pairs share: how their rows are read."""

from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.data.pairs import load_pairs
from rung.engine.data.report import LoadedData
from rung.engine.recipe.schema import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The pairs of a data source."""
    data = recipe.data
    return load_pairs(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_length=data.max_length,
        template_args=recipe.model.template_args,
    )
