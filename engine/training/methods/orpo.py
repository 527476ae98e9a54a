"""Odds ratio preference optimisation: pairs without a reference model, over TRL's (experimental) ORPOTrainer."""

from typing import TYPE_CHECKING, Any

from rung.engine.data.pairs import EncodedPair
from rung.engine.training.job import Job
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.paired import load_data as load_data
from rung.engine.training.methods.rows import RowRecorder

if TYPE_CHECKING:
    from datasets import Dataset

FIELDS = tuple(
    f"{part}_{kind}"
    for part, kinds in (
        ("chosen", ("input_ids", "attention_mask", "labels")),
        ("rejected", ("input_ids", "attention_mask", "labels")),
        ("prompt", ("input_ids", "attention_mask")),
    )
    for kind in kinds
)


def build_trainer(job: Job) -> Any:
    """TRL's ORPOTrainer over the job's encoded pairs."""
    from trl.experimental.orpo import ORPOConfig

    from rung.engine.training.methods.doctor_callback import DoctorCallback
    from rung.engine.training.methods.orpo_trainer import PairORPOTrainer

    trainer = construct(
        PairORPOTrainer,
        model=job.model,
        args=trl_arguments(
            job,
            ORPOConfig,
            bf16=default_precision(job),
            max_length=job.recipe.data.max_length,
            remove_unused_columns=False,
        ),
        train_dataset=pair_dataset(job.train.encoded),
        eval_dataset=pair_dataset(job.validation.encoded),
        processing_class=job.tokenizer,
    )
    trainer.add_callback(DoctorCallback(job))
    trainer.data_collator = RowRecorder(trainer.data_collator, FIELDS)
    return trainer


def pair_dataset(encoded: list[EncodedPair]) -> "Dataset":
    """A datasets.Dataset with the ids of prompt and answers; the empty texts are what TRL would have tokenised."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt": ["" for _ in encoded],
            "chosen": ["" for _ in encoded],
            "rejected": ["" for _ in encoded],
            "prompt_ids": [item.prompt_ids for item in encoded],
            "chosen_ids": [item.chosen_ids for item in encoded],
            "rejected_ids": [item.rejected_ids for item in encoded],
            "length": [item.full_length for item in encoded],
            "line": [item.line for item in encoded],
        }
    )
