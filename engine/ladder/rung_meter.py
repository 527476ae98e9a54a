"""How far a climb is: answers of its rungs asked for so far and still to come, and the time that they take.

The time of an answer is the mean over those generated since the climb was started, in all rungs; while a training goes
on, its own time left comes first.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rung.engine.jobs.events import Event, Phase
from rung.engine.jobs.ladder_events import RungProgress
from rung.engine.ladder.spec import Rung

TELL_SECONDS = 1.0


class RungMeter:
    """Reports the progress of the rung that goes on; outside a climb it is silent. `clock` gives seconds."""

    def __init__(
        self, report: Callable[[Event], None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock = report, clock
        self._rung: Rung | None = None
        self._rungs: list[Rung] = []
        self._later: dict[Rung, int] = {}
        self._done, self._to_come = 0, 0
        self._running, self._share, self._since = 0, 0.0, 0.0
        self._seconds, self._answers = 0.0, 0
        self._told_at = float("-inf")

    def begin(self, rung: Rung, rungs: Sequence[Rung], later: Mapping[Rung, int]) -> None:
        """A rung begins; `rungs` are all that this climb measures, the lowest first, and `later` how many answers each
        that comes after it takes at most."""
        self._rung, self._rungs, self._later = rung, list(rungs), dict(later)
        self._done, self._to_come, self._running = 0, 0, 0
        self._tell()

    def end(self) -> None:
        """The rung that went on is through."""
        self._rung = None

    def expect(self, answers: int) -> None:
        """So many answers are still to come in this rung, as far as is known now."""
        self._to_come = answers

    @contextmanager
    def evaluation(self, answers: int) -> Iterator[None]:
        """So many answers are asked for within the block; those found on disk take no time."""
        self._running, self._share, self._since = answers, 0.0, self._clock()
        yield
        if self._share > 0:
            self._seconds += self._clock() - self._since
            self._answers += answers
        self._done, self._to_come, self._running = self._done + answers, max(0, self._to_come - answers), 0
        self._tell()

    def take(self, event: Event) -> None:
        """An event of the evaluation that goes on."""
        if isinstance(event, Phase) and event.name == "evaluate" and event.total and self._running:
            self._share = (event.done or 0) / event.total
            self._tell_sometimes()

    def train(self, step: int, total: int, seconds_left: float | None) -> None:
        """A training of the rung is at this step."""
        if self._rung is not None:
            pace = self._pace()
            left = None if seconds_left is None or pace is None else seconds_left + pace * self._to_come
            self._tell_sometimes(RungProgress(self._rung, list(self._rungs), step, total, "steps", left))

    def _tell_sometimes(self, event: RungProgress | None = None) -> None:
        if self._clock() - self._told_at >= TELL_SECONDS:
            self._tell(event)

    def _tell(self, event: RungProgress | None = None) -> None:
        if self._rung is None or self._report is None:
            return
        self._told_at = self._clock()
        pace = self._pace()
        later = {} if pace is None else {str(rung): pace * answers for rung, answers in self._later.items()}
        self._report(replace(event or self._progress(self._rung), seconds_later=later))

    def _progress(self, rung: Rung) -> RungProgress:
        now = self._running * self._share
        total = self._done + max(self._to_come, self._running)
        pace = self._pace()
        left = None if pace is None or not total else pace * max(0.0, total - self._done - now)
        return RungProgress(rung, list(self._rungs), round(self._done + now), total or None, "answers", left)

    def _pace(self) -> float | None:
        """Seconds an answer; None before the first one."""
        seconds, answers = self._seconds, float(self._answers)
        if self._running and self._share > 0:
            seconds, answers = seconds + self._clock() - self._since, answers + self._running * self._share
        return seconds / answers if answers else None
