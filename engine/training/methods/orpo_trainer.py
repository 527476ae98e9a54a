"""TRL's ORPOTrainer on pairs that are encoded already. Imports the training stack: only methods/orpo.py loads it."""

from typing import Any

from trl.experimental.orpo import ORPOTrainer

from rung.engine.training.methods.batches import LengthBatched
from rung.engine.training.methods.row_averages import AveragedOverRows


class PairORPOTrainer(LengthBatched, AveragedOverRows, ORPOTrainer):
    """ORPOTrainer whose pairs come as ids, in batches of like length in random order; it counts its tokens."""

    FIGURES, ROWS_OF = "_stored_metrics", "chosen_input_ids"
    _num_tokens = 0

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        """The row as TRL's own tokenising would leave it."""
        prompt = feature["prompt_ids"]
        row: dict[str, Any] = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for part in ("chosen", "rejected"):
            ids = prompt + feature[f"{part}_ids"]
            row[f"{part}_input_ids"] = ids
            row[f"{part}_attention_mask"] = [1] * len(ids)
            row[f"{part}_labels"] = [-100] * len(prompt) + feature[f"{part}_ids"]
        return row

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """TRL's loss; the batch's real tokens are counted on the way."""
        self._num_tokens += int(inputs["chosen_attention_mask"].sum() + inputs["rejected_attention_mask"].sum())
        return super().compute_loss(model, inputs, *args, **options)

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """TRL's log with the tokens so far."""
        if "loss" in logs:
            logs["num_tokens"] = self._num_tokens
        super().log(logs, *args, **options)
