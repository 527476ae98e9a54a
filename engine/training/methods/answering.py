"""What GRPO and RLOO share: prompts that the model answers itself, and rewards for the answers."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.data.prompts import Prompted, load_prompts
from rung.engine.data.report import LoadedData
from rung.engine.jobs.events import Warned
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import DEFAULT_GENERATIONS, Job
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.reference import freeze_reference, goes_on_in_an_adapter
from rung.engine.training.rewards.batch import Reward, RewardBatch
from rung.engine.training.rewards.build import build_rewards, check_rewards
from rung.engine.training.rewards.settings import read_rewards

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

DEFAULT_COMPLETION_LENGTH = 256


def check(recipe: Recipe, root: Path) -> None:
    """Raise EngineError for faulty rewards, and for answers that leave no room for a prompt."""
    check_rewards(read_rewards(recipe.method_block().get("rewards"), f"{recipe.method}.rewards"), root)
    _prompt_room(recipe)


def load_answerable(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The prompts of a data source that leave room for an answer."""
    data = recipe.data
    return load_prompts(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_prompt_length=_prompt_room(recipe),
        template_args=recipe.model.template_args,
    )


def build_answering_trainer(job: Job, trainer_class: Any, config_class: Any) -> Any:
    """A trainer that answers the job's prompts and learns from the rewards."""
    from rung.engine.training.methods.doctor_callback import DoctorCallback

    recipe = job.recipe
    field = f"{recipe.method}.rewards"
    rewards = build_rewards(read_rewards(recipe.method_block().get("rewards"), field), job.root, job.device)
    _check_references(job, rewards)
    arguments = trl_arguments(
        job,
        config_class,
        bf16=default_precision(job),
        disable_dropout=True,
        max_completion_length=completion_length(recipe),
        num_generations=DEFAULT_GENERATIONS,
        num_generations_eval=1,
        reward_weights=[reward.weight for reward in rewards],
    )
    _check_group(job, arguments)
    examples = [*job.train.examples, *job.validation.examples]
    trained_in_full = not hasattr(job.model, "peft_config")
    wants_kl = bool(recipe.method_block().get("measure_kl")) and arguments.beta == 0.0
    if wants_kl and not trained_in_full and goes_on_in_an_adapter(job):
        freeze_reference(job.model)
    trainer = construct(
        trainer_class,
        model=job.model,
        reward_funcs=[reward_function(reward, examples) for reward in rewards],
        args=arguments,
        train_dataset=_numbered(0, len(job.train.examples)),
        eval_dataset=_numbered(len(job.train.examples), len(examples)),
        processing_class=job.tokenizer,
    )
    if trained_in_full and trainer.ref_model is not None:
        # TRL reads the reference from disk; the policy may start from a merged adapter, which is nowhere on disk.
        trainer.ref_model.load_state_dict(job.model.state_dict())
    elif not trained_in_full and not goes_on_in_an_adapter(job) and "ref" in job.model.peft_config:
        job.model.delete_adapter("ref")
    trainer.take_prompts([item.prompt_ids for item in [*job.train.encoded, *job.validation.encoded]])
    trainer.add_callback(DoctorCallback(job, rewards))
    if wants_kl:
        trainer.kl_reference = copy.deepcopy(job.model).eval() if trained_in_full else job.model
    return trainer


def reward_function(reward: Reward, examples: Sequence[Prompted]) -> Callable[..., list[float | None]]:
    """The reward as TRL calls it. TRL sees a prompt as the number of its example."""

    def score(
        prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_rest: Any
    ) -> list[float | None]:
        asked = [examples[int(number)] for number in prompts]
        return reward.score(
            RewardBatch(
                [example.prompt for example in asked],
                completions,
                [example.reference for example in asked],
                [example.fields for example in asked],
                [len(ids) for ids in completion_ids],
            )
        )

    score.__name__ = reward.name
    return score


def completion_length(recipe: Recipe) -> int:
    """The longest answer in tokens: the recipe's, else 256 or half of max_length."""
    given = recipe.method_block().get("max_completion_length")
    return int(given) if given else min(DEFAULT_COMPLETION_LENGTH, recipe.data.max_length // 2)


def _prompt_room(recipe: Recipe) -> int:
    room = recipe.data.max_length - completion_length(recipe)
    if room <= 0:
        raise EngineError(
            f"Answers of {completion_length(recipe)} tokens leave no room for a prompt",
            f"data.max_length is {recipe.data.max_length} tokens for prompt and answer together",
            f"lower {recipe.method}.max_completion_length, or raise data.max_length",
        )
    limit = recipe.method_block().get("max_prompt_length")
    return min(room, int(limit)) if limit else room


def _check_references(job: Job, rewards: Sequence[Reward]) -> None:
    """Rewards that compare with a reference need one; prompts without are told."""
    comparing = [reward.name for reward in rewards if reward.needs_reference]
    without = [example.line for example in job.train.examples if example.reference is None]
    if not comparing or not without:
        return
    if len(without) == len(job.train.examples):
        raise EngineError(
            f"The reward {comparing[0]} compares with a reference, and no row has one",
            f"{job.recipe.data.train} has the columns: {', '.join(job.train.examples[0].fields) or 'prompt only'}",
            "name the column in the recipe: data: {columns: {reference: …}}",
        )
    job.reporter.write(
        Warned(
            f"{len(without)} prompts have no reference: {', '.join(comparing)} give them nothing",
            f"lines {without[:8]}",
        )
    )


def _check_group(job: Job, arguments: Any) -> None:
    prompts = arguments.generation_batch_size // arguments.num_generations
    if prompts > len(job.train.examples):
        raise EngineError(
            f"A batch takes {prompts} prompts, and there are {len(job.train.examples)}",
            f"{arguments.generation_batch_size} answers a batch, {arguments.num_generations} to each prompt",
            "lower per_device_train_batch_size or gradient_accumulation_steps, or add prompts",
        )


def _numbered(first: int, end: int) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_dict({"prompt": [str(number) for number in range(first, end)]})
