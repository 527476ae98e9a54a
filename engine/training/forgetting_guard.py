"""What happens when the forgetting probe has worsened past the recipe's limit."""

from typing import Any

from rung.engine.jobs.events import Recovered, StopRequested, Warned
from rung.engine.training.job import Job
from rung.engine.training.probe.meter import ForgettingProbe

RATE_FACTOR = 0.5


class ForgettingGuard:
    """Acts once for each further step past the limit: warns, halves the learning rate, or asks to stop."""

    def __init__(self, job: Job, probe: ForgettingProbe) -> None:
        self._job = job
        self._probe = probe
        self._warned = False

    def should_stop(self, scheduler: Any) -> bool:
        """Look at the last probe and act on the limit; True when the run is to save and end."""
        settings = self._job.recipe.probe
        worse = self._probe.worsening()
        if settings.limit is None or worse <= settings.limit:
            return False
        said = f"general perplexity is {worse:+.1%}, the limit {settings.limit:+.1%}"
        if settings.on_limit == "stop":
            self._job.reporter.write(Warned("The forgetting limit is passed", said, "mix in replay, or lower the rate"))
            self._job.reporter.write(StopRequested("the forgetting guard"))
            return True
        if settings.on_limit == "lower_rate":
            old = scheduler.get_last_lr()[0]
            scheduler.base_lrs = [rate * RATE_FACTOR for rate in scheduler.base_lrs]
            self._job.reporter.write(
                Recovered(
                    f"the forgetting limit is passed: {said}",
                    {"learning_rate": old},
                    {"learning_rate": old * RATE_FACTOR},
                )
            )
        elif not self._warned:
            self._warned = True
            self._job.reporter.write(
                Warned("The forgetting limit is passed", said, "probe.on_limit: lower_rate or stop acts")
            )
        return False
