"""TRL's KTOTrainer on answers that are encoded already. Imports the training stack: only methods/kto.py loads it."""

from typing import Any

from trl import KTOTrainer


class LabelledKTOTrainer(KTOTrainer):
    """KTOTrainer whose rows come as ids."""

    def _prepare_dataset(self, dataset: Any, _processing_class: Any, args: Any, _name: str) -> Any:
        """The rows with what TRL adds to its own: each batch's answers moved on by one, under the wrong prompts."""
        if not self.calculate_KL:
            return dataset
        answers = list(dataset["completion_ids"])
        size = args.per_device_train_batch_size
        batches = [answers[start : start + size] for start in range(0, len(answers), size)]
        return dataset.add_column("KL_completion_ids", [ids for batch in batches for ids in batch[-1:] + batch[:-1]])
