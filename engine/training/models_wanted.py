"""The models that a job will load, and those of them that are not on this machine: found before there is a job."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.hub.cache import cache_folder, cached_model
from rung.engine.models.load import model_source
from rung.engine.project.schema import ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import ModelSettings, Recipe
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.training.named_runs import recipe_of
from rung.engine.training.rewards.settings import read_rewards


@dataclass(frozen=True)
class WantedModel:
    """A model that a job names: a folder or a hub id, and in which field. With `code` its Python files are wanted."""

    name: str
    revision: str | None
    code: bool
    field: str

    @property
    def fetch_command(self) -> str:
        """The command that brings it from the hub."""
        revision = f" --revision {self.revision}" if self.revision else ""
        return f"rung fetch {self.name}{revision}{' --code' if self.code else ''}"


class MissingModels(EngineError):
    """Models at the hub that a job needs and that are not on this machine, or not whole."""

    def __init__(self, models: list[WantedModel]) -> None:
        names = ", ".join(model.name for model in models)
        super().__init__(
            f"{names} {'is' if len(models) == 1 else 'are'} not on this machine",
            "\n".join(f"{model.field}: {model.name}" for model in models)
            + f"\nneither a folder, nor whole in the hub's cache {cache_folder()}",
            f"{' and '.join(model.fetch_command for model in models)} "
            f"{'brings it' if len(models) == 1 else 'bring them'}; or start with --fetch, which does that first",
        )
        self.models = models


def refuse_missing_models(models: Iterable[WantedModel], root: Path) -> None:
    """Raise MissingModels where some are at the hub only, and EngineError for a folder that isn't there."""
    if missing := missing_models(models, root):
        raise MissingModels(missing)


def missing_models(models: Iterable[WantedModel], root: Path) -> list[WantedModel]:
    """Those at the hub that don't lie here whole, each once. Raises EngineError for a folder that isn't there."""
    found = {(model.name, model.revision): model for model in models if not _is_here(model, root)}
    return list(found.values())


def models_of_recipe(recipe: Recipe, root: Path) -> list[WantedModel]:
    """What a run of the recipe loads: the model, a teacher, judges, reward models. Raises EngineError."""
    return [_of_settings(recipe.model, "model.name"), *_of_block(recipe, root)]


def models_of_project(project: ProjectSettings, root: Path, *, rag: bool, tune: bool) -> list[WantedModel]:
    """What a climb loads: the project's model and judge, with `rag` the embedding model, with `tune` its recipes'."""
    found = [_of_settings(project.model, "model.name")]
    if project.judge is not None and project.judge.model is not None:
        found.append(_of_settings(project.judge.model, "judge.model.name"))
    if rag:
        found += models_of_documents(project.documents)
    for name in [project.tune.recipe, *project.tune.also] if tune and project.data.train is not None else []:
        if (root / name).exists():
            found += models_of_recipe(load_recipe(root / name), root)
    return found


def models_of_answers(
    model: ModelSettings, retrieval: RetrievalSettings | None, project: ProjectSettings
) -> list[WantedModel]:
    """What an evaluation loads: the model that answers, the embedding model of its documents, and the judge."""
    found = [_of_settings(model, "model.name"), *models_of_documents(retrieval)]
    if project.judge is not None and project.judge.model is not None:
        found.append(_of_settings(project.judge.model, "judge.model.name"))
    return found


def models_of_documents(documents: RetrievalSettings | None) -> list[WantedModel]:
    """The embedding model, where documents are searched by meaning."""
    if documents is None or documents.kind == "bm25" or documents.embedding_model is None:
        return []
    return [WantedModel(documents.embedding_model, None, False, "documents.embedding_model")]


def _is_here(model: WantedModel, root: Path) -> bool:
    source = model_source(model.name, root)
    return Path(source).is_dir() or cached_model(source, model.revision) is not None


def _of_settings(model: ModelSettings, field: str) -> WantedModel:
    return WantedModel(model.name, model.revision, model.trust_remote_code, field)


def _of_block(recipe: Recipe, root: Path) -> Iterator[WantedModel]:
    """The models that the method's own block names."""
    if recipe.method == "distill":
        from rung.engine.training.methods.distill_settings import distill_settings

        distill = distill_settings(recipe)
        if distill.teacher.model is not None:
            yield _of_settings(distill.teacher.model, "distill.teacher.model.name")
        if distill.judge is not None and distill.judge.model is not None:
            yield _of_settings(distill.judge.model, "distill.judge.model.name")
    elif recipe.method == "constitution":
        from rung.engine.training.methods.constitution_settings import constitution_settings

        judge = constitution_settings(recipe).judge
        if judge is not None and judge.model is not None:
            yield _of_settings(judge.model, "constitution.judge.model.name")
    elif recipe.method in ("grpo", "rloo"):
        block = recipe.method_block()
        for number, reward in enumerate(read_rewards(block.get("rewards"), f"{recipe.method}.rewards")):
            field = f"{recipe.method}.rewards[{number}]"
            if reward.path is not None:
                yield WantedModel(reward.path, None, False, f"{field}.path")
            elif reward.run is not None:
                yield _of_settings(load_recipe(recipe_of(root, reward.run)).model, f"{field}.run")
