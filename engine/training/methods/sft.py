"""Supervised fine-tuning, and continued pretraining on text, over TRL's SFTTrainer.

Rows are tokenised and masked by engine/data, so that what `rung check` shows is what is trained, and no row is dropped
without a word; TRL takes them as they are (`labels` given, preparation skipped).
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.data.encode import Encoded, LossOn
from rung.engine.data.report import LoadedData, NothingUsable
from rung.engine.data.report import load_data as load_answers
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods.arguments import default_precision, trl_arguments
from rung.engine.training.methods.rows import RowRecorder

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import SFTTrainer

NO_TRAINED_TOKEN = "no_trained_token"
"""The gate's name for rows without a trained token."""


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The rows of a data source with their loss masks.

    Raises EngineError where no token of them is trained; overridden, every token is.
    """
    try:
        return _load_rows(recipe, path, tokenizer, recipe.data.loss_on)
    except NothingUsable as error:
        if not error.report.lengths:
            raise
        if NO_TRAINED_TOKEN not in recipe.overrides:
            hint = f"{error.hint}; or override it: overrides: [{NO_TRAINED_TOKEN}] trains every token of the rows"
            raise EngineError(error.message, error.details, hint) from error
        loaded = _load_rows(recipe, path, tokenizer, "all")
        said = f"overridden ({NO_TRAINED_TOKEN}): every token is trained, for no answer has one"
        return replace(loaded, report=replace(loaded.report, notes=[*loaded.report.notes, said]))


def _load_rows(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase", loss_on: LossOn) -> LoadedData:
    data = recipe.data
    return load_answers(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_length=data.max_length,
        loss_on=loss_on,
        template_args=recipe.model.template_args,
    )


def build_trainer(job: Job) -> "SFTTrainer":
    """TRL's SFTTrainer over the job's encoded rows."""
    from trl import SFTConfig

    from rung.engine.training.methods.sft_trainer import LengthBatchedSFTTrainer

    arguments = trl_arguments(
        job,
        SFTConfig,
        bf16=default_precision(job),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        # Rows keep their place, so that a bad batch can be named; the collator takes what it needs.
        remove_unused_columns=False,
    )
    trainer = LengthBatchedSFTTrainer(
        model=job.model,
        args=arguments,
        train_dataset=encoded_dataset(job.train.encoded),
        eval_dataset=encoded_dataset(job.validation.encoded),
        processing_class=job.tokenizer,
    )
    trainer.data_collator = RowRecorder(trainer.data_collator, ("input_ids", "labels"))
    return trainer


def encoded_dataset(encoded: list[Encoded]) -> "Dataset":
    """A datasets.Dataset with input_ids, labels, their length, and the line each row came from."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [item.input_ids for item in encoded],
            "labels": [item.labels for item in encoded],
            "length": [len(item.input_ids) for item in encoded],
            "line": [item.line for item in encoded],
        }
    )
