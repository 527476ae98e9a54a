"""Figures of an evaluation that weigh every row alike. TRL averages over batches, of which the last may be short."""

from typing import Any


class AveragedOverRows:
    """Mixed in before a trainer of TRL that keeps a figure a batch in its `FIGURES["eval"]` and logs their mean."""

    FIGURES = "_metrics"
    ROWS_OF = "input_ids"
    _batch_rows: list[int] | None = None

    def prediction_step(self: Any, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """TRL's step; how many rows the batch had is kept."""
        self._batch_rows = [*(self._batch_rows or []), len(inputs[self.ROWS_OF])]
        return super().prediction_step(model, inputs, *args, **options)  # type: ignore[misc]

    def log(self: Any, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """TRL's log, which finds one figure for all batches of an evaluation: their mean by rows."""
        if not self.model.training and self._batch_rows:
            rows, self._batch_rows = self._batch_rows, None
            kept = getattr(self, self.FIGURES)["eval"]
            for name, figures in kept.items():
                if len(figures) == len(rows):
                    total = sum(figure * count for figure, count in zip(figures, rows, strict=True))
                    kept[name] = [total / sum(rows)]
        super().log(logs, *args, **options)  # type: ignore[misc]
