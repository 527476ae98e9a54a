"""A download told as events: when bytes have come, and now and then when none have."""

import time
from collections.abc import Callable

from rung.engine.jobs.events import Event, Phase

QUIET_SECONDS = 5.0
"""A download that stands still is still said to be alive this often."""


class DownloadEvents:
    """Tells a download as `phase` events."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self._report = report
        self._last: tuple[int, int | None] | None = None
        self._at = 0.0

    def tell(self, done: int, total: int | None) -> None:
        """Report how far it is."""
        now = time.monotonic()
        if (done, total) != self._last or now - self._at >= QUIET_SECONDS:
            self._last, self._at = (done, total), now
            self._report(Phase("download", done, total, "bytes"))

    def tell_and_load(self, done: int, total: int | None) -> None:
        """Report how far it is, and at its end that loading comes next."""
        self.tell(done, total)
        if done == total:
            self._report(Phase("load"))
