"""TRL's DPOTrainer on pairs that are encoded already. Imports the training stack: only methods/dpo.py loads it."""

from typing import Any

from trl import DPOTrainer

from rung.engine.training.methods.batches import LengthBatched
from rung.engine.training.methods.row_averages import AveragedOverRows


class PairDPOTrainer(AveragedOverRows, LengthBatched, DPOTrainer):
    """DPOTrainer whose pairs come as ids, in batches of like length in random order."""

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_options: Any) -> Any:
        return dataset
