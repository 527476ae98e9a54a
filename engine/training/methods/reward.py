"""A reward model: one score a conversation, learned from preference pairs (Bradley-Terry) over TRL's RewardTrainer."""

from typing import TYPE_CHECKING

from rung.engine.data.pairs import EncodedPair
from rung.engine.training.job import Job
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.paired import load_data as load_data
from rung.engine.training.methods.rows import RowRecorder

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import RewardTrainer


def build_trainer(job: Job) -> "RewardTrainer":
    """TRL's RewardTrainer over the job's encoded pairs; `job.model` has a head of one score."""
    from trl import RewardConfig

    from rung.engine.training.methods.doctor_callback import DoctorCallback
    from rung.engine.training.methods.reward_trainer import PairRewardTrainer

    trainer: RewardTrainer = construct(
        PairRewardTrainer,
        model=job.model,
        args=trl_arguments(
            job, RewardConfig, bf16=default_precision(job), max_length=None, remove_unused_columns=False
        ),
        train_dataset=conversation_dataset(job.train.encoded),
        eval_dataset=conversation_dataset(job.validation.encoded),
        processing_class=job.tokenizer,
    )
    trainer.add_callback(DoctorCallback(job))
    trainer.data_collator = RowRecorder(trainer.data_collator, ("chosen_ids", "rejected_ids"))
    return trainer


def conversation_dataset(encoded: list[EncodedPair]) -> "Dataset":
    """A datasets.Dataset with the ids of both conversations, prompts included, their length, and the pair's line."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "chosen_ids": [item.prompt_ids + item.chosen_ids for item in encoded],
            "rejected_ids": [item.prompt_ids + item.rejected_ids for item in encoded],
            "length": [item.full_length for item in encoded],
            "line": [item.line for item in encoded],
        }
    )
