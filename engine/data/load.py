"""Rows of any shape, or documents, read the way the methods that learn from that shape do: for `rung check DATA`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.encode import LossOn
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
    columns: dict[str, str] | None = None,
    max_length: int = 1024,
    loss_on: LossOn = "assistant",
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All usable rows of `path` under their own shape, encoded, and the report. Raises EngineError."""
    options: dict[str, Any] = {"template_args": template_args}
    if is_documents(path):
        return load_running_text(path, tokenizer, max_length=max_length, **options)
    options["columns"] = columns
    found = read_shaped(path, shape, columns).shape
    if found == "prompts":
        return load_prompts(path, tokenizer, shape=found, max_prompt_length=max_length, **options)
    load: Callable[..., LoadedData] = partial(load_data, loss_on=loss_on)
    if found in PAIRED:
        load = load_pairs
    elif found == "kto":
        load = load_labels
    elif found == "text":
        load = load_running_text
    return load(path, tokenizer, shape=found, max_length=max_length, **options)
