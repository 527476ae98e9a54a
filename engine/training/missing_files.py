"""What a recipe names and isn't there, found before there is a run, by looking at names alone."""

from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.data.hub import is_hub_id
from rung.engine.models.load import model_source
from rung.engine.recipe.schema import Recipe


def refuse_missing(recipe: Recipe, root: Path) -> None:
    """Raise EngineError for a model folder or a data file that isn't there, or a model folder that isn't whole.

    What may be a hub's owner/name is left to the worker, which can ask the hub.
    """
    model_source(recipe.model.name, root)
    for field, name in (("data.train", recipe.data.train), ("data.validation", recipe.data.validation)):
        if name is None or is_hub_id(name):
            continue
        path = root / Path(name).expanduser()
        if not path.exists():
            raise EngineError(f"{path} does not exist", f"{field}: {name}", f"check the path; it starts from {root}")
