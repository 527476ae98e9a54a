"""Rows of any shape, or documents, read the way the methods that learn from that shape do: for `rung check DATA`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.data.encode import LossOn
from rung.engine.data.labels import load_labels
from rung.engine.data.pairs import load_pairs
from rung.engine.data.prompts import load_prompts
from rung.engine.data.report import LoadedData, load_data
from rung.engine.data.running_text import is_documents, load_running_text
from rung.engine.data.shaped import ShapedRows, read_shaped
from rung.engine.recipe.data_needs import ANSWERED, METHOD_SHAPES, PAIRED

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
    read = read_shaped(path, shape, columns)
    options["shape"] = shape
    return _loader(path, read, max_length, loss_on)(path, tokenizer, **options)


def _loader(path: Path, read: ShapedRows, max_length: int, loss_on: LossOn) -> Callable[..., LoadedData]:
    """How the methods read rows of these shapes. Raises EngineError where files have shapes that don't go together."""
    found = {*read.shapes.values()}
    if found <= {"text"}:
        return partial(load_running_text, max_length=max_length)
    if found <= {*METHOD_SHAPES["sft"]}:
        return partial(load_data, max_length=max_length, loss_on=loss_on)
    if found <= {*PAIRED}:
        return partial(load_pairs, max_length=max_length)
    if found <= {*METHOD_SHAPES["kto"]}:
        return partial(load_labels, max_length=max_length)
    if found <= {"prompts", *ANSWERED}:
        return partial(load_prompts, max_prompt_length=max_length)
    raise EngineError(
        f"The files of {path} have shapes that aren't learned together",
        "\n".join(f"{file} holds {shape}" for file, shape in read.shapes.items()),
        "check them one by one",
    )
