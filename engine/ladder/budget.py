"""What a climb may still spend: wall time over all its sittings, and tokens of its evaluations."""

import time

from engine.project.schema import BudgetSettings


class Spending:
    """Compares what is spent with the budget. `seconds_before` is what earlier, interrupted sittings took."""

    def __init__(self, budget: BudgetSettings, seconds_before: float = 0.0) -> None:
        self._budget = budget
        self._started = time.monotonic() - seconds_before

    @property
    def seconds(self) -> float:
        """Wall time so far."""
        return time.monotonic() - self._started

    def exhausted(self, tokens_spent: int) -> str | None:
        """Why nothing more may be begun, or None."""
        minutes, tokens = self._budget.minutes, self._budget.tokens
        if minutes is not None and self.seconds >= 60 * minutes:
            return f"the time budget of {minutes:g} minutes is spent ({self.seconds / 60:.1f})"
        if tokens is not None and tokens_spent >= tokens:
            return f"the budget of {tokens:,} tokens is spent ({tokens_spent:,})"
        return None
