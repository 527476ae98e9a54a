"""The gate before launch: what would make a training worthless is refused, unless overridden by name."""

from engine.data.report import LoadedData
from engine.errors import EngineError
from engine.events import Warned
from engine.recipe.schema import Recipe
from engine.worker.reporter import Reporter


def refusals(recipe: Recipe, train: LoadedData) -> dict[str, EngineError]:
    """Reasons not to launch, by the name that overrides them."""
    found: dict[str, EngineError] = {}
    report = train.report
    if report.stop_token_trained == 0 and recipe.method == "sft":
        cut = report.answers_cut == report.used
        found["stop_token"] = EngineError(
            "The stop token is never among the trained tokens: the tuned model would not learn to end its answers",
            f"every answer is cut off by max_length {recipe.data.max_length}" if cut else f"model: {recipe.model.name}",
            "raise data.max_length" if cut else "use a chat template whose answers end in the stop token (plain does)",
        )
    if report.truncated == report.used:
        found["all_truncated"] = EngineError(
            f"Every row is longer than max_length {recipe.data.max_length}",
            f"the median row has {report.median_length} tokens",
            "raise data.max_length or shorten the rows",
        )
    return found


def refuse(recipe: Recipe, train: LoadedData, reporter: Reporter) -> None:
    """Raise the first refusal that the recipe doesn't override; record those it does."""
    for name, error in refusals(recipe, train).items():
        if name not in recipe.overrides:
            hint = f"{error.hint}; or override it: --set 'overrides=[{name}]'"
            raise EngineError(error.message, error.details, hint)
        reporter.write(Warned(f"Overridden: {error.message}", error.details))
