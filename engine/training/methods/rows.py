"""Which rows a batch holds, for the message when a loss is not a number."""

from collections import deque
from collections.abc import Sequence
from typing import Any

LINE = "line"


class RowRecorder:
    """A collator that lays the lines of a batch's rows beside what it makes of their named fields."""

    def __init__(self, collator: Any, fields: Sequence[str]) -> None:
        self._collator = collator
        self._fields = fields

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        import torch

        batch = self._collator([{name: row[name] for name in self._fields if name in row} for row in rows])
        batch[LINE] = torch.tensor([row.get(LINE, 0) for row in rows])
        return batch


class StepRows:
    """The lines of the rows that the last optimizer step took; its trainer's model never sees them."""

    def __init__(self, trainer: Any) -> None:
        self._batches: deque[list[int]] = deque(maxlen=trainer.args.gradient_accumulation_steps)
        step, predict = trainer.training_step, trainer.prediction_step

        def training_step(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
            self._batches.append(_taken(inputs))
            return step(model, inputs, *rest, **options)

        def prediction_step(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
            _taken(inputs)
            return predict(model, inputs, *rest, **options)

        trainer.training_step, trainer.prediction_step = training_step, prediction_step

    def lines(self) -> list[int]:
        """The lines, ascending, each once; none for rows that are made in training."""
        return sorted({line for batch in self._batches for line in batch})


def _taken(inputs: Any) -> list[int]:
    if not isinstance(inputs, dict) and not hasattr(inputs, "keys") or LINE not in inputs:
        return []
    lines: list[int] = inputs.pop(LINE).tolist()
    return lines
