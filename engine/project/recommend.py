"""The recipe that Rung recommends for a model and its rows, with the reason for each value that isn't plain."""

from dataclasses import dataclass
from pathlib import Path

from engine.project.commented import FieldName, commented_yaml
from engine.project.model_facts import ModelFacts
from engine.recipe.schema import AdapterSettings, DataSettings, Method, ModelSettings, Recipe, TrainingSettings

MAX_LENGTH = 1024
# Below this many weights an update of LoRA's usual size changes too little in a few hundred steps.
SMALL_MODEL = 50_000_000
SMALL_MODEL_RATES: dict[str, float] = {"sft": 3e-3, "reward": 3e-3, "dpo": 3e-4, "grpo": 1e-3, "rloo": 1e-3}
_METHOD_BLOCKS = ("sft", "cpt", "dpo", "kto", "orpo", "reward", "grpo", "rloo", "distill", "constitution")


@dataclass(frozen=True)
class Recommended:
    """A recipe, and why some of its values are what they are, by field."""

    recipe: Recipe
    reasons: dict[FieldName, str]

    def to_yaml(self, file: str) -> str:
        """The recipe as YAML with a comment on every knob; blocks of other methods are left out."""
        others = [(name,) for name in _METHOD_BLOCKS if name != self.recipe.method]
        header = f"# One training job, declared completely. Start it with: rung run {file}\n"
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
    """LoRA over every linear layer unless `in_full`; rate, epochs and lengths by method, rows and context."""
    length = min(data.max_length, facts.context or data.max_length)
    reasons: dict[FieldName, str] = {
        ("training", "learning_rate"): _rate_reason(method, in_full),
        ("data", "max_length"): "tokens of one example; what is longer is cut, and said"
        + (f"; the model was made for {facts.context}" if facts.context else ""),
    }
    if facts.has_chat_template is False and model.chat_template is not None:
        reasons["model", "chat_template"] = f"the tokenizer has none of its own, so a built-in: {model.chat_template}"
    training = {}
    if num_rows is not None and method == "sft":
        training["num_train_epochs"], reasons["training", "num_train_epochs"] = _epochs(num_rows)
    if (facts.parameters or SMALL_MODEL) < SMALL_MODEL and method in SMALL_MODEL_RATES and not in_full:
        training["learning_rate"] = SMALL_MODEL_RATES[method]
        reasons["training", "learning_rate"] = "a model below 50 million weights takes larger steps than is usual"
    recipe = Recipe(
        method=method,
        model=model,
        adapter=None if in_full else AdapterSettings(),
        data=data.model_copy(update={"max_length": length}),
        training=TrainingSettings(**training),
    )
    return Recommended(recipe, reasons)


def write_recipe(root: Path, recommended: Recommended, file: str = RECIPE_FILE) -> Path:
    """Write the recipe below `root` and give its path."""
    from engine.files import write_text_atomic

    path = root / file
    write_text_atomic(path, recommended.to_yaml(file))
    return path


def _rate_reason(method: str, in_full: bool) -> str:
    if method in ("dpo", "kto", "orpo", "constitution"):
        return "a preference is sharper than an example, so the steps are small"
    if in_full:
        return "every weight moves, so the steps are small"
    return "few weights are trained, from zero, so the steps may be large; in full it would be 1e-5"


def _epochs(num_rows: int) -> tuple[float, str]:
    epochs = 3.0 if num_rows < 1_000 else 2.0 if num_rows < 10_000 else 1.0
    return epochs, f"{num_rows:,} rows: 3 passes below 1,000, 2 below 10,000, else 1; more learns them by heart"
