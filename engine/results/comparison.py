"""Who can be compared with whom: the base under a run, the weights it made, and the prompts to try them on.

Reads recipes as plain values, so that the screens need nothing of the training stack.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.yaml_text import read_yaml
from rung.engine.data.prompts import Prompted, prompts_from
from rung.engine.data.read import Row, read_rows
from rung.engine.data.shaped import shape_rows
from rung.engine.generation.client import Lineup
from rung.engine.jobs.checkpoints import latest_checkpoint
from rung.engine.jobs.folder import RunFolder, find_run, list_runs

Message = dict[str, Any]
NO_ANSWERS = frozenset({"reward"})
"""Methods whose result answers nothing: it gives scores."""


@dataclass(frozen=True)
class Trained:
    """What a run made so far: its artifact, or its newest checkpoint (`step` says which)."""

    run: RunFolder
    path: Path
    step: str = ""


@dataclass(frozen=True)
class Prompt:
    """Turns to be answered, where they come from, and the wanted answer where there is one."""

    messages: list[Message]
    origin: str
    reference: str = ""

    @property
    def text(self) -> str:
        """The last turn."""
        return str(self.messages[-1].get("content") or "")

    @property
    def system(self) -> str:
        """The system message, or nothing."""
        first = self.messages[0]
        return str(first.get("content") or "") if first.get("role") == "system" else ""


@dataclass(frozen=True)
class Pinned:
    """Prompts to try: the recipe's pinned ones, then the rows that training did not see; what can't be read is said."""

    prompts: list[Prompt] = field(default_factory=list)
    trouble: str = ""


def trained(folder: RunFolder, recipe: Mapping[str, Any]) -> Trained | None:
    """What of the run can answer: its artifact, of an unfinished run its newest checkpoint, else None."""
    if recipe.get("method") in NO_ANSWERS:
        return None
    artifact = folder.artifact()
    if artifact is not None:
        return Trained(folder, artifact)
    checkpoint = latest_checkpoint(folder)
    return None if checkpoint is None else Trained(folder, checkpoint, checkpoint.name)


def base_model(folder: RunFolder, recipe: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The `model` block of what lies under a run's adapter: the recipe's, or the full tune that it started from."""
    model: dict[str, Any] = dict(recipe.get("model") or {})
    start = str(recipe.get("start_from") or "")
    if start.startswith("run:"):
        parent = find_run(root, start.removeprefix("run:"))
        artifact = parent.artifact()
        if artifact is not None and artifact.name == "model":
            return model | {"name": str(artifact), "revision": None}
        return model | {"name": base_model(parent, read_recipe(parent), root)["name"]}
    return model


def read_recipe(folder: RunFolder) -> dict[str, Any]:
    """A run's resolved recipe as plain values."""
    value, _ = read_yaml(folder.recipe)
    if not isinstance(value, dict):
        raise EngineError(f"{folder.recipe} is not a recipe")
    return value


def newest_trained(root: Path) -> RunFolder | None:
    """The newest run of the project that has something that answers."""
    for folder in reversed(list_runs(root)):
        if _answers(folder):
            return folder
    return None


def comparable_runs(root: Path, base: Mapping[str, Any], besides: Collection[RunFolder]) -> list[RunFolder]:
    """The project's other runs on this base that have something that answers, newest first."""
    found = []
    for folder in reversed(list_runs(root)):
        if folder not in besides and _answers(folder):
            try:
                same = base_model(folder, read_recipe(folder), root) == base
            except EngineError:
                continue  # What it started from is gone: it can't be told what lies under it.
            if same:
                found.append(folder)
    return found


def lineup_of(folders: Sequence[RunFolder], root: Path) -> Lineup:
    """The base and what these runs made of it. Raises EngineError for different bases, or a run with no weights yet."""
    recipes = [read_recipe(folder) for folder in folders]
    bases = [base_model(folder, recipe, root) for folder, recipe in zip(folders, recipes, strict=True)]
    adapters: dict[str, str] = {}
    for folder, recipe, base in zip(folders, recipes, bases, strict=True):
        if base != bases[0]:
            raise EngineError(
                "These runs don't have one base model",
                f"{folders[0].id}: {bases[0].get('name')}\n{folder.id}: {base.get('name')}",
                "compare runs whose recipes have the same model block",
            )
        made = trained(folder, recipe)
        if made is None:
            scores = recipe.get("method") in NO_ANSWERS
            raise EngineError(
                f"{folder.id} has nothing that answers",
                "a reward model gives scores, not answers" if scores else "it has no artifact and no checkpoint yet",
                "compare another run" if scores else "wait for its first checkpoint, or resume it",
            )
        adapters[run_label(folder, folders)] = str(made.path)
    return Lineup(bases[0], root, adapters)


def run_label(folder: RunFolder, folders: Sequence[RunFolder]) -> str:
    """A short name for a run that tells it from the others: method and the id's end, or the whole id."""
    end = folder.id.rsplit("-", 1)[-1]
    alike = sum(other.id.endswith(end) for other in folders) > 1
    return folder.id if alike else f"{folder.method}-{end}"


def pinned_prompts(recipe: Mapping[str, Any], root: Path, limit: int = 200) -> Pinned:
    """Prompts to try a run on: its recipe's pinned ones, then its validation rows (of the training rows, if none)."""
    samples = (recipe.get("samples") or {}).get("prompts") or []
    prompts = [Prompt([{"role": "user", "content": str(text)}], "pinned") for text in samples]
    data = recipe.get("data") or {}
    source = data.get("validation") or data.get("train")
    if not source:
        return Pinned(prompts)
    origin = "validation" if data.get("validation") else "training"
    try:
        rows, _ = read_rows(root / str(source))
        found = _prompts(rows[:limit], data)
    except EngineError as error:
        return Pinned(prompts, str(error))
    return Pinned(prompts + [Prompt(item.prompt, f"{origin} row {item.line}", item.reference or "") for item in found])


def _answers(folder: RunFolder) -> bool:
    try:
        return trained(folder, read_recipe(folder)) is not None
    except EngineError:
        return False


def _prompts(rows: Sequence[Row], data: Mapping[str, Any]) -> list[Prompted]:
    files = shape_rows(rows, str(data.get("shape") or "auto"), dict(data.get("columns") or {}))
    return [
        prompt
        for file in files
        if file.shape != "text"
        for prompt in prompts_from(file.rows, file.shape)[0]
        if prompt.prompt
    ]
