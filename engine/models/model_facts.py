"""What a model's own files say, read without the training stack: context, chat template, number of weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from rung.engine.core.errors import EngineError
from rung.engine.models.forecast import shape_of_folder
from rung.engine.models.load import context_length, model_config, model_folder, model_source


@dataclass(frozen=True)
class ModelFacts:
    """`context` in tokens, `has_chat_template`, `parameters`; None where only a download would tell."""

    source: str
    context: int | None = None
    has_chat_template: bool | None = None
    parameters: int | None = None


def model_facts(name: str, root: Path, revision: str | None = None) -> ModelFacts:
    """The facts of a recipe's model, read where its files lie. Raises EngineError for a folder that is incomplete."""
    source = model_source(name, root)
    folder = model_folder(name, root, revision)
    if folder is None:
        return ModelFacts(source)
    config = model_config(name, root, revision)
    context = context_length(SimpleNamespace(**config.get("text_config", config)))
    return ModelFacts(source, context, _has_chat_template(folder), _parameters(folder))


def _parameters(folder: Path) -> int | None:
    try:
        return shape_of_folder(folder).parameters
    except EngineError:
        return None  # Damaged weights are told where they are loaded; a new project doesn't need their number.


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").exists() or (folder / "chat_template.json").exists():
        return True
    config = folder / "tokenizer_config.json"
    if not config.exists():
        return False
    try:
        return bool(json.loads(config.read_text(encoding="utf-8")).get("chat_template"))
    except (ValueError, AttributeError) as error:
        raise EngineError(f"{config} is not valid JSON", str(error)) from None
