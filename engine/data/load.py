"""Rows of any shape, or documents, read the way the methods that learn from that shape do: for `rung check DATA`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.labels import load_labels
from engine.data.needs import PAIRED
from engine.data.pairs import load_pairs
from engine.data.prompts import load_prompts
from engine.data.report import LoadedData, load_data, read_shaped
from engine.data.running_text import is_documents, load_running_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_any(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    max_length: int = 1024,
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All usable rows of `path` under their own shape, encoded, and the report."""
    if is_documents(path):
        return load_running_text(path, tokenizer, max_length=max_length, template_args=template_args)
    found = read_shaped(path).shape if shape == "auto" else shape
    if found == "prompts":
        return load_prompts(path, tokenizer, shape=found, max_prompt_length=max_length, template_args=template_args)
    load: Callable[..., LoadedData] = load_data
    if found in PAIRED:
        load = load_pairs
    elif found == "kto":
        load = load_labels
    elif found == "text":
        load = load_running_text
    return load(path, tokenizer, shape=found, max_length=max_length, template_args=template_args)
