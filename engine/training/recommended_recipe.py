"""The recipe that Rung recommends for a model and its rows, with the reason for each value that isn't plain."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.commented_yaml import FieldName, commented_yaml
from rung.engine.models.model_facts import ModelFacts
from rung.engine.project.follow import advised
from rung.engine.recipe.schema import AdapterSettings, DataSettings, Method, ModelSettings, Recipe, TrainingSettings

_METHOD_BLOCKS = ("sft", "cpt", "dpo", "kto", "orpo", "reward", "grpo", "rloo", "distill", "constitution")


@dataclass(frozen=True)
class Recommended:
    """A recipe, and why some of its values are what they are, by field."""

    recipe: Recipe
    reasons: dict[FieldName, str]

    def to_yaml(self, file: str) -> str:
        """The recipe as YAML with a comment on every knob; blocks of other methods are left out."""
        others = [(name,) for name in _METHOD_BLOCKS if name != self.recipe.method]
        header = f"# One training job, declared completely. Start it with: rung run {shlex.quote(file)}\n"
        return header + commented_yaml(self.recipe, self.reasons, others)


RECIPE_FILE = "recipes/sft.yaml"


def recommended_recipe(
    model: ModelSettings,
    facts: ModelFacts,
    data: DataSettings,
    num_rows: int | None = None,
    method: Method = "sft",
    in_full: bool = False,
) -> Recommended:
    """LoRA over every linear layer unless `in_full`; rate, epochs and lengths by method, model, rows and context."""
    values = advised(method, in_full, facts, num_rows)
    reasons: dict[FieldName, str] = {tuple(name.split(".")): each.reason for name, each in values.items()}
    if facts.has_chat_template is False and model.chat_template is not None:
        reasons["model", "chat_template"] = f"the tokenizer has none of its own, so a built-in: {model.chat_template}"
    recipe = Recipe(
        method=method,
        model=model,
        adapter=None if in_full else AdapterSettings(),
        data=data.model_copy(update={"max_length": min(data.max_length, facts.context or data.max_length)}),
        training=TrainingSettings(
            learning_rate=values["training.learning_rate"].value,
            num_train_epochs=values["training.num_train_epochs"].value,
        ),
    )
    return Recommended(recipe, reasons)


def write_recipe(root: Path, recommended: Recommended, file: str = RECIPE_FILE) -> Path:
    """Write the recipe below `root` and give its path."""
    from rung.engine.core.files import write_text_atomic

    path = root / file
    write_text_atomic(path, recommended.to_yaml(file))
    return path
