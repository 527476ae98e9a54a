"""The rewards of a recipe, ready to score answers."""

from collections.abc import Callable
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import find_run
from rung.engine.metrics.parse import parse_metric
from rung.engine.metrics.scoring import score_answer
from rung.engine.recipe.schema import ModelSettings
from rung.engine.training.named_runs import named_run
from rung.engine.training.rewards.batch import Reward, RewardBatch
from rung.engine.training.rewards.python_file import PythonReward
from rung.engine.training.rewards.settings import OWN_OPTIONS, RewardSettings, names_of

Scores = list[float | None]
# Metrics that judge an answer by itself.
_WITHOUT_REFERENCE = frozenset({"regex", "json_valid", "json_schema", "function"})


def build_rewards(settings: list[RewardSettings], root: Path, device: str) -> list[Reward]:
    """The rewards in order. Loads reward models, starts the processes of Python files. Raises EngineError."""
    return [_build(item, name, root, device) for item, name in zip(settings, names_of(settings), strict=True)]


def check_rewards(settings: list[RewardSettings], root: Path) -> None:
    """Raise EngineError for what a reward names and what isn't there; loads no model and runs nothing of the user's."""
    for item in settings:
        if item.name == "python" and not (root / str(item.file)).is_file():
            raise EngineError(
                f"The reward's file {item.file} does not exist", hint="paths start at the project's folder"
            )
        if item.name == "model" and item.run is not None:
            named_run(root, item.run)
        if item.name not in OWN_OPTIONS:
            parse_metric(item.metric_options, root)


def _build(settings: RewardSettings, name: str, root: Path, device: str) -> Reward:
    if settings.name == "python":
        function = PythonReward(root / str(settings.file), settings.function, settings.timeout)
        return Reward(name, settings.weight, function.score, close=function.close)
    if settings.name == "model":
        return Reward(name, settings.weight, _model_reward(settings, root, device))
    if settings.name == "length":
        return Reward(name, settings.weight, lambda batch: [_length_score(settings, batch, at) for at in _each(batch)])
    score, needs_reference = _metric_reward(settings, root)
    return Reward(name, settings.weight, score, needs_reference)


def _metric_reward(settings: RewardSettings, root: Path) -> tuple[Callable[[RewardBatch], Scores], bool]:
    spec = parse_metric(settings.metric_options, root)
    captures = spec.name == "regex" and "(?P<answer>" in str(spec.pattern)
    needs = (spec.name not in _WITHOUT_REFERENCE or captures) and spec.references is None

    def score(batch: RewardBatch) -> Scores:
        scores: Scores = []
        for at in _each(batch):
            reference = batch.references[at]
            if reference is None and needs:
                scores.append(None)
            else:
                scores.append(score_answer(spec, batch.completions[at], reference or "", batch.rows[at]))
        return scores if spec.more_is_better else [None if value is None else -value for value in scores]

    return score, needs


def _model_reward(settings: RewardSettings, root: Path, device: str) -> Callable[[RewardBatch], Scores]:
    from rung.engine.training.rewards.model import load_reward_model, load_reward_run

    if settings.run is not None:
        scorer = load_reward_run(find_run(root, settings.run), root, device)
    else:
        scorer = load_reward_model(ModelSettings(name=str(settings.path)), root, device)

    def score(batch: RewardBatch) -> Scores:
        chats = [
            [*prompt, {"role": "assistant", "content": text}]
            for prompt, text in zip(batch.prompts, batch.completions, strict=True)
        ]
        return list(scorer.score(chats))

    return score


def _length_score(settings: RewardSettings, batch: RewardBatch, at: int) -> float:
    """1 between `least` and `most`; below it falls to 0 at nothing, above to 0 at twice the most."""
    text = batch.completions[at]
    length = {"words": len(text.split()), "characters": len(text), "tokens": batch.lengths[at]}[settings.unit]
    most = settings.most or 1
    if length < settings.least:
        return length / settings.least
    return 1.0 if length <= most else max(0.0, 2.0 - length / most)


def _each(batch: RewardBatch) -> range:
    return range(len(batch.completions))
