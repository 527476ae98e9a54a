"""Direct preference optimisation and its kin (IPO, hinge, robust, length-normalised…) over TRL's DPOTrainer.

The reference is the policy that the run starts from: the base under a fresh adapter, a frozen copy of an adapter that
is gone on with, a frozen copy of the model where all weights are trained.
"""

import copy
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.engine.data.pairs import EncodedPair
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.paired import load_data as load_data
from rung.engine.training.methods.reference import goes_on_in_an_adapter
from rung.engine.training.methods.rows import RowRecorder

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DPOTrainer

LOSSES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
)  # fmt: skip


def check(recipe: Recipe, root: Path) -> None:
    """Raise EngineError for a loss that there isn't."""
    known_losses(recipe.dpo.get("loss_type", []))


def build_trainer(job: Job) -> "DPOTrainer":
    """TRL's DPOTrainer over the job's encoded pairs."""
    from trl import DPOConfig

    from rung.engine.training.methods.doctor_callback import DoctorCallback
    from rung.engine.training.methods.dpo_trainer import PairDPOTrainer

    arguments = trl_arguments(job, DPOConfig, bf16=default_precision(job), max_length=None, remove_unused_columns=False)
    arguments.loss_type = known_losses(arguments.loss_type)
    trained_in_full = not hasattr(job.model, "peft_config")
    trainer: DPOTrainer = construct(
        PairDPOTrainer,
        model=job.model,
        ref_model=copy.deepcopy(job.model) if trained_in_full and not arguments.precompute_ref_log_probs else None,
        args=arguments,
        train_dataset=pair_dataset(job.train.encoded),
        eval_dataset=pair_dataset(job.validation.encoded),
        processing_class=job.tokenizer,
    )
    if not trained_in_full and not goes_on_in_an_adapter(job):
        # TRL copies every adapter as the reference; that of a fresh one is the base, which needs no second adapter.
        job.model.delete_adapter("ref")
    names = ("prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps")
    trainer.add_callback(DoctorCallback(job))
    trainer.data_collator = RowRecorder(trainer.data_collator, names)
    return trainer


def known_losses(given: str | list[str]) -> list[str]:
    """The losses as a list. Raises EngineError for an unknown one, which TRL tells only at its first step."""
    losses = [given] if isinstance(given, str) else list(given)
    for loss in losses:
        if loss not in LOSSES:
            near = difflib.get_close_matches(loss, LOSSES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(LOSSES)}"
            raise EngineError(f"There is no DPO loss {loss}", "dpo.loss_type", hint)
    return losses


def pair_dataset(encoded: list[EncodedPair]) -> "Dataset":
    """A datasets.Dataset with the ids of prompt and answers, the pair's length, and the line it came from."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt_ids": [item.prompt_ids for item in encoded],
            "chosen_ids": [item.chosen_ids for item in encoded],
            "rejected_ids": [item.rejected_ids for item in encoded],
            "length": [item.full_length for item in encoded],
            "line": [item.line for item in encoded],
        }
    )
