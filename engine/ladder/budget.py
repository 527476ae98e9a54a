"""What a climb may still spend: wall time and tokens of its evaluations, shared over the rungs.

Each rung may spend an equal share of what is left when it begins, so what one leaves over is passed up to the next; a
rung that has begun is measured in any case, with one variant at least. Once all is spent no further rung is begun.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rung.engine.project.schema import BudgetSettings


@dataclass(frozen=True)
class Cost:
    """Wall time in seconds, and tokens of prompts and answers."""

    seconds: float = 0.0
    tokens: float = 0.0


class Spending:
    """Compares what is spent with the budget. `seconds_before` is what earlier, interrupted sessions took; `tokens`
    gives the tokens so far, theirs among them."""

    def __init__(self, budget: BudgetSettings, tokens: Callable[[], int], seconds_before: float = 0.0) -> None:
        self._tokens = tokens
        self._started = time.monotonic() - seconds_before
        self._limit = (None if budget.minutes is None else 60 * budget.minutes, budget.tokens)
        self._share: tuple[float | None, float | None] = self._limit

    @property
    def so_far(self) -> Cost:
        """All that is spent, over all sessions."""
        return Cost(time.monotonic() - self._started, self._tokens())

    def exhausted(self) -> str | None:
        """Why nothing more may be begun, or None."""
        spent = self.so_far
        seconds, tokens = self._limit
        if seconds is not None and spent.seconds >= seconds:
            return f"the time budget of {seconds / 60:g} minutes is spent ({spent.seconds / 60:.1f})"
        if tokens is not None and spent.tokens >= tokens:
            return f"the budget of {tokens:,} tokens is spent ({spent.tokens:,.0f})"
        return None

    def begin_share(self, began: Cost, rungs_left: int) -> None:
        """Give a rung its share. `began` is what was spent when it began, in whichever session that was; `rungs_left`
        counts the rung itself."""

        def share(limit: float | None, spent: float) -> float | None:
            return None if limit is None else spent + max(0.0, limit - spent) / rungs_left

        self._share = share(self._limit[0], began.seconds), share(self._limit[1], began.tokens)

    def share_is_spent(self, reserve: Cost = Cost()) -> bool:
        """Whether the rung's share is used up once what is still to be measured, the `reserve`, is spent too."""
        spent = self.so_far
        sums = (spent.seconds + reserve.seconds, spent.tokens + reserve.tokens)
        return any(limit is not None and value >= limit for limit, value in zip(self._share, sums, strict=True))
