"""What a climb and an evaluation tell beside the common events."""

from dataclasses import dataclass, field

from rung.engine.jobs.events import Event


@dataclass(frozen=True)
class Tried(Event):
    """A variant was tried on validation rows."""

    type = "tried"
    rung: str
    label: str
    candidate: str
    metric: str
    score: float
    n: int


@dataclass(frozen=True)
class Scored(Event):
    """A candidate was scored on the held-out rows."""

    type = "scored"
    rung: str
    label: str
    candidate: str
    metric: str
    score: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Chosen(Event):
    """The validation rows decided for one of several variants."""

    type = "chosen"
    rung: str
    label: str
    candidate: str
    why: str


@dataclass(frozen=True)
class RungProgress(Event):
    """How far the rung that goes on is. `rungs` are all that the climb measures; `total` is None while unknown.

    `seconds_later` is what the answers of each rung that has not begun take, without a training's own time; empty
    before the first answer.
    """

    type = "rung_progress"
    rung: str
    rungs: list[str]
    done: int
    total: int | None
    unit: str
    seconds_left: float | None
    seconds_later: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped(Event):
    """A rung was not climbed."""

    type = "skipped"
    rung: str
    why: str


@dataclass(frozen=True)
class RungFailed(Event):
    """A rung could not be measured; the climb goes on with the others. `fault`: the program's, not the person's."""

    type = "rung_failed"
    rung: str
    message: str
    details: str = ""
    hint: str = ""
    fault: bool = False


@dataclass(frozen=True)
class Decided(Event):
    """The verdict."""

    type = "decided"
    rung: str
    candidate: str | None
    reasons: list[str] = field(default_factory=list)
