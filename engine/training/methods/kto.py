"""Kahneman-Tversky optimisation: answers labelled good or bad, without pairs, over TRL's KTOTrainer."""

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.data.labels import EncodedLabelled, load_labels
from rung.engine.data.report import LoadedData
from rung.engine.jobs.events import Warned
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.reference import goes_on_in_an_adapter
from rung.engine.training.methods.rows import RowRecorder

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import KTOTrainer

FIELDS = ("prompt_ids", "completion_ids", "KL_completion_ids", "label", "ref_logps", "ref_KL_logps")


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The labelled answers of a data source; pairs count as two."""
    data = recipe.data
    return load_labels(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_length=data.max_length,
        template_args=recipe.model.template_args,
    )


def build_trainer(job: Job) -> "KTOTrainer":
    """TRL's KTOTrainer over the job's encoded answers."""
    from trl import KTOConfig

    from rung.engine.training.methods.doctor_callback import DoctorCallback
    from rung.engine.training.methods.kto_trainer import LabelledKTOTrainer

    _check_balance(job)
    # The divergence is estimated on answers under other rows' prompts, which together may be longer than any row.
    arguments = trl_arguments(
        job, KTOConfig, bf16=default_precision(job), max_length=job.recipe.data.max_length, remove_unused_columns=False
    )
    trained_in_full = not hasattr(job.model, "peft_config")
    trainer: KTOTrainer = construct(
        LabelledKTOTrainer,
        model=job.model,
        ref_model=copy.deepcopy(job.model) if trained_in_full and not arguments.precompute_ref_log_probs else None,
        args=arguments,
        train_dataset=labelled_dataset(_shuffled(job.train.encoded, job.recipe.seed)),
        eval_dataset=labelled_dataset(_shuffled(job.validation.encoded, job.recipe.seed)),
        processing_class=job.tokenizer,
    )
    if not trained_in_full and not goes_on_in_an_adapter(job):
        job.model.delete_adapter("ref")
    trainer.add_callback(DoctorCallback(job))
    trainer.data_collator = RowRecorder(trainer.data_collator, FIELDS)
    return trainer


def labelled_dataset(encoded: Sequence[EncodedLabelled]) -> "Dataset":
    """A datasets.Dataset with the ids of prompt and answer, the label, and the line each row came from."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt_ids": [item.prompt_ids for item in encoded],
            "completion_ids": [item.answer_ids for item in encoded],
            "label": [item.label for item in encoded],
            "line": [item.line for item in encoded],
        }
    )


def _shuffled(encoded: Sequence[EncodedLabelled], seed: int) -> list[EncodedLabelled]:
    """In random order: TRL takes the rows as they stand, and sorted ones would hold one label a batch."""
    return random.Random(seed).sample(list(encoded), len(encoded))


def _check_balance(job: Job) -> None:
    """Both labels must be there; uneven ones want weights, by Eq. 8 of the KTO paper (Ethayarajh et al. 2024)."""
    good = sum(item.label for item in job.train.encoded)
    bad = len(job.train.encoded) - good
    if good == 0 or bad == 0:
        raise EngineError(
            f"All {len(job.train.encoded)} answers have the label {'true' if good else 'false'}",
            "KTO learns from good answers and bad ones",
            "add the others, or use method: sft for good answers alone",
        )
    block = job.recipe.kto
    wanted, unwanted = float(block.get("desirable_weight", 1.0)), float(block.get("undesirable_weight", 1.0))
    ratio = (wanted * good) / (unwanted * bad)
    if not 1.0 <= ratio <= 4 / 3 and not 3 / 4 <= ratio < 1.0:
        low = unwanted * bad / good
        job.reporter.write(
            Warned(
                f"{good} good answers and {bad} bad ones: their weights are uneven",
                f"desirable_weight x good / undesirable_weight x bad is {ratio:.2f}; 1 to 1.33 is advised",
                f"set kto: {{desirable_weight: {low:.2f}}} or up to {low * 4 / 3:.2f}",
            )
        )
