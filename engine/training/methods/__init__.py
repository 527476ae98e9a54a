"""One file a method: how its rows are read, and how a job becomes a TRL trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rung.engine.core.errors import EngineError
from rung.engine.training.methods import outcome

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer

    from rung.engine.data.report import LoadedData
    from rung.engine.jobs.folder import RunFolder
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.recipe.schema import Recipe
    from rung.engine.training.job import Job


@dataclass(frozen=True)
class Method:
    """What the worker knows of a method before it imports the method's module.

    `best` is the validation figure that chooses the checkpoint. `figures` are those of the method's own that a report
    shows beside the loss; `curves` its live ones in the order that the screens offer them, * for any name.
    `end_figures` are what the end of a run tells: measured before the first step and of the kept checkpoint.
    `answers_in_training`: the model answers its own training prompts, `num_generations` times
    each. `task`: what the model gives, as PEFT words it; a SEQ_CLS model gives a score and no text.
    """

    module: str
    best: str = "loss"
    higher_is_better: bool = False
    figures: tuple[str, ...] = ()
    end_figures: tuple[outcome.EndFigure, ...] = (outcome.VALIDATION_LOSS,)
    curves: tuple[str, ...] = ()
    answers_in_training: bool = False
    task: Literal["CAUSAL_LM", "SEQ_CLS"] = "CAUSAL_LM"
    validation_most: int = 200

    def best_step(self, evaluations: Mapping[int, Mapping[str, float]]) -> int | None:
        """The step with the best validation figure, step 0 (before training) aside; None without any."""
        sign = -1.0 if self.higher_is_better else 1.0
        scored = {
            step: sign * values[self.best] for step, values in evaluations.items() if step and self.best in values
        }
        return min(scored, key=lambda step: scored[step]) if scored else None

    @property
    def best_in_words(self) -> str:
        """For example `lowest validation loss`."""
        return f"{'highest' if self.higher_is_better else 'lowest'} validation {self.best}"


_PAIR_FIGURES = ("rewards/accuracies", "rewards/margins")
_PAIR_CURVES = ("rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected")
_ANSWERING: dict[str, Any] = {
    "best": "reward",
    "higher_is_better": True,
    "answers_in_training": True,
    "validation_most": 32,
    "figures": ("reward", "kl"),
    "end_figures": outcome.REWARD,
    "curves": ("reward", "rewards/*/mean", "kl", "completions/mean_length", "completions/clipped_ratio"),
}
METHODS = {
    "sft": Method(
        "rung.engine.training.methods.sft", figures=("perplexity",), curves=("mean_token_accuracy", "perplexity")
    ),
    "cpt": Method(
        "rung.engine.training.methods.cpt",
        figures=("perplexity",),
        end_figures=(outcome.PERPLEXITY,),
        curves=("perplexity", "mean_token_accuracy"),
    ),
    "dpo": Method(
        "rung.engine.training.methods.dpo",
        figures=_PAIR_FIGURES,
        end_figures=outcome.PAIRS_BY_REFERENCE,
        curves=_PAIR_CURVES,
    ),
    "kto": Method(
        "rung.engine.training.methods.kto",
        figures=("rewards/margins", "kl"),
        end_figures=outcome.LABELS,
        curves=("rewards/chosen", "rewards/rejected", "kl", "logps/chosen", "logps/rejected"),
    ),
    "orpo": Method(
        "rung.engine.training.methods.orpo",
        figures=("rewards/accuracies", "log_odds_ratio"),
        end_figures=outcome.PAIRS,
        curves=("log_odds_ratio", "rewards/accuracies", "rewards/margins"),
    ),
    "distill": Method(
        "rung.engine.training.methods.distill",
        figures=("student_score", "score_gap"),
        end_figures=outcome.STUDENT,
        curves=("evaluation/score_gap", "evaluation/student_score", "evaluation/teacher_score"),
    ),
    "constitution": Method(
        "rung.engine.training.methods.constitution",
        figures=_PAIR_FIGURES,
        end_figures=outcome.PAIRS_BY_REFERENCE,
        curves=("pairs/share_revised", "pairs/judge_agreement", "pairs/judge_steadiness", *_PAIR_CURVES),
    ),
    "grpo": Method("rung.engine.training.methods.grpo", **_ANSWERING),
    "rloo": Method("rung.engine.training.methods.rloo", **_ANSWERING),
    "reward": Method(
        "rung.engine.training.methods.reward",
        figures=("accuracy", "margin"),
        end_figures=outcome.SCORES,
        curves=("accuracy", "margin"),
        task="SEQ_CLS",
    ),
}


class MethodModule(Protocol):
    """What a method's file offers."""

    def load_data(self, recipe: "Recipe", path: Path, tokenizer: "PreTrainedTokenizerBase") -> "LoadedData":
        """The rows of a data source as the method learns from them. Raises EngineError for the wrong shape."""

    def build_trainer(self, job: "Job") -> "Trainer":
        """A TRL trainer over the job's model and data."""


def check_block(recipe: "Recipe", root: Path) -> None:
    """Raise EngineError for what the method's own block asks and can't have, before any data is read.

    A method says so in a function `check(recipe, root)` of its module, where there is more to check than names.
    """
    check = getattr(method_module(recipe.method), "check", None)
    if check is not None:
        check(recipe, root)


def prepare_recipe(
    recipe: "Recipe",
    folder: "RunFolder",
    root: Path,
    device: str,
    tokenizer: "PreTrainedTokenizerBase",
    reporter: "Reporter",
) -> "Recipe":
    """The recipe with its data in place, for methods that make their own rows first (`prepare` in their module)."""
    prepare = getattr(method_module(recipe.method), "prepare", None)
    prepared: Recipe = recipe if prepare is None else prepare(recipe, folder, root, device, tokenizer, reporter)
    return prepared


def plan_of(recipe: "Recipe", root: Path, train: "LoadedData") -> list[str]:
    """What a launch will do beside training, in sentences (`plan` in the method's module); for most methods nothing."""
    plan = getattr(method_module(recipe.method), "plan", None)
    said: list[str] = [] if plan is None else plan(recipe, root, train)
    return said


def answer_room(recipe: "Recipe") -> int:
    """Tokens that the rows grow by before they are trained on: their answers, where the method makes them itself."""
    room = getattr(method_module(recipe.method), "answer_room", None)
    tokens: int = 0 if room is None else room(recipe)
    return tokens


def report_of(recipe: "Recipe", folder: "RunFolder") -> list[str]:
    """The method's own lines for report.md (`report` in its module)."""
    report = getattr(method_module(recipe.method), "report", None)
    lines: list[str] = [] if report is None else report(folder)
    return lines


def method_of(name: str) -> Method:
    """The method. Raises EngineError for one that is not there."""
    if name not in METHODS:
        raise EngineError(
            f"The method {name} is not in this version", f"method: {name}", f"methods there are: {', '.join(METHODS)}"
        )
    return METHODS[name]


def method_module(name: str) -> MethodModule:
    """The method's module. Raises EngineError for one that is not there."""
    module: MethodModule = import_module(method_of(name).module)
    return module
