"""Where a probe's material comes from: ours, the model's own folder, or a file of the user's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.read import read_rows
from rung.engine.training.probe.instructions import Instruction, general_instructions
from rung.engine.training.probe.questions import Question, general_questions

PASSAGES = Path(__file__).parent / "passages.txt"
# A model may bring a probe for what it knows, as the pocket model does for its small world.
MODEL_PROBE = "probe.json"
DOCUMENT_COLUMNS = ("document", "document_id", "doc_id", "article", "article_id", "title", "url", "source")
"""Columns that say which rows of the user's file are parts of one document: such parts don't vary independently."""


@dataclass(frozen=True)
class ProbeMaterial:
    """Texts to be predicted, questions to be answered, prompts to be followed; `name` is the event's split.

    `documents` names the document of each passage, where several passages share one; else it is empty.
    """

    name: str
    passages: list[str]
    questions: list[Question] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)


def probe_material(source: str, model_folder: Path | None, root: Path) -> ProbeMaterial:
    """The material of a recipe's `probe.source`. `builtin` takes the model's own where its folder has one."""
    if source != "builtin":
        return _from_file(root / source)
    own = model_folder / MODEL_PROBE if model_folder is not None else None
    if own is not None and own.exists():
        return _from_model(own)
    instructions = general_instructions()
    passages = PASSAGES.read_text(encoding="utf-8").split("\n\n")
    prompts = [item.prompt for item in instructions]
    return ProbeMaterial("general", [text.strip() for text in passages], general_questions(), prompts, instructions)


def _from_model(path: Path) -> ProbeMaterial:
    value = json.loads(path.read_text(encoding="utf-8"))
    questions = [Question(item["text"], tuple(item["options"]), item["answer"]) for item in value["questions"]]
    return ProbeMaterial("general", value["passages"], questions, value["prompts"])


def _from_file(path: Path) -> ProbeMaterial:
    if path.suffix == ".txt":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise EngineError(f"{path} can't be read", str(error), "see probe.source in the recipe") from error
        return ProbeMaterial(path.stem, [part.strip() for part in text.split("\n\n") if part.strip()])
    rows, _ = read_rows(path)
    texts = [row.fields for row in rows if row.fields.get("text")]
    if not texts:
        raise EngineError(f"{path} has no text to probe with", hint="a .txt file, or rows with a field text")
    return ProbeMaterial(path.stem, [str(fields["text"]) for fields in texts], documents=_documents(texts))


def _documents(texts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The document of each text by the first column that names one, where some share theirs; else none."""
    for name in DOCUMENT_COLUMNS:
        values = [fields.get(name) for fields in texts]
        if all(isinstance(value, (str, int)) and value != "" for value in values):
            if 1 < len(set(map(str, values))) < len(values):
                return [str(value) for value in values]
    return []
