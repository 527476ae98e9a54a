"""The facts that the background thread posts to the app."""

from typing import Any

from textual.message import Message

from rung.engine.jobs.folder import RunFolder
from rung.tui.watch.ladder import Ladder


class RunFound(Message):
    """A run is there; its events follow. `folder` is None for a recording."""

    def __init__(self, run: str, folder: RunFolder | None, recipe: dict[str, Any]) -> None:
        self.run, self.folder, self.recipe = run, folder, recipe
        super().__init__()


class EventsRead(Message):
    """The next events of a run, in their order; `caught_up` when the file has no more of them now."""

    def __init__(self, run: str, events: list[dict[str, Any]], caught_up: bool) -> None:
        self.run, self.events, self.caught_up = run, events, caught_up
        super().__init__()


class LivenessRead(Message):
    """Whether a run's worker lives; with `out_of_memory`, the kernel has probably killed it."""

    def __init__(self, run: str, alive: bool, out_of_memory: bool = False) -> None:
        self.run, self.alive, self.out_of_memory = run, alive, out_of_memory
        super().__init__()


class LogRead(Message):
    """The end of a run's worker.log, after it changed."""

    def __init__(self, run: str, text: str) -> None:
        self.run, self.text = run, text
        super().__init__()


class LadderRead(Message):
    """What the project's rungs have reached, after it changed."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        super().__init__()
