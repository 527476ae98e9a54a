"""A run's state as a fold of its events: what every screen and command shows, computed one way."""

from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rung.engine.jobs.event_shape import has_shape
from rung.engine.jobs.events import TERMINAL_TYPES
from rung.engine.jobs.time_left import TimeLeft

LOG_LIMIT = 500
SAMPLE_LIMIT = 200
PAIR_LIMIT = 50
PAIRS_PREFIX = "pairs/"
"""Of curves over prompts and pairs, not over steps: they were there before the first step, and outlive a resume."""
MEMORY_LIMIT = 2000
PACE_MARKS = 40


@dataclass
class Curve:
    """One figure over steps, as doubles that numpy can view without a copy (`numpy.frombuffer`). NaN marks null."""

    steps: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, step: float, value: float | None) -> None:
        """Append one point; a step that was taken again counts as it came out last."""
        number = float("nan") if value is None else value
        if len(self.steps) and self.steps[-1] == step:
            self.values[-1] = number
            return
        self.steps.append(step)
        self.values.append(number)

    def cut_after(self, step: float) -> None:
        """Drop the points later than `step`: a resumed run goes on from there."""
        end = bisect_left(self.steps, step + 1e-9)
        del self.steps[end:]
        del self.values[end:]

    @property
    def last(self) -> float | None:
        """The newest finite value."""
        for value in reversed(self.values):
            if value == value:
                return value
        return None


@dataclass
class RunState:
    """What the events so far say. `status` is `rung runs`' state word, but for `crashed`, which needs the lock."""

    status: str = "queued"
    sequence: int = -1
    time: float = 0.0
    started: float | None = None
    ended: float | None = None
    sitting_started: float | None = None
    seconds_before: float = 0.0
    last_active: float = 0.0
    step: int = 0
    total_steps: int | None = None
    epoch: float = 0.0
    phase: str = ""
    phase_done: int | None = None
    phase_total: int | None = None
    phase_unit: str | None = None
    phase_marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=PACE_MARKS))
    # Of a climb: the newest word on the rung that goes on.
    rung: dict[str, Any] = field(default_factory=dict)
    time_left: TimeLeft = field(default_factory=TimeLeft)
    tokens: int | None = None
    host: str = ""
    waits_for: str = ""
    devices: list[str] = field(default_factory=list)
    oom_kills: dict[str, int] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    memory_history: list[dict[str, Any]] = field(default_factory=list)
    forecast: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    probe_intervals: dict[str, list[float]] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    log: list[tuple[float, str, str]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether a terminal event has been read (and no later resume)."""
        return self.status in TERMINAL_TYPES

    def curve(self, name: str) -> Curve:
        """The curve of that name: loss, learning_rate, grad_norm, tokens_per_second, evaluation/loss, probe/…"""
        found = self.curves.get(name)
        if found is None:
            found = self.curves[name] = Curve()
        return found

    def seconds_left(self) -> float | None:
        """Time to the end of the run, or None when unknown; of a run that tells no schedule, to its last step."""
        if self.over:
            return None
        if self.time_left.plan:
            return self.time_left.left(self.time)
        if self.total_steps is None:
            return None
        seconds = self.curves.get("seconds")
        if seconds is None or not len(seconds.values):
            return None
        recent = [value for value in seconds.values[-50:] if value == value]
        return (self.total_steps - self.step) * sum(recent) / len(recent) if recent else None

    def seconds_worked(self, now: float | None = None) -> float | None:
        """Seconds that its worker was at it, in all sittings, up to the last event or, of a live one, to `now`.

        None before it started.
        """
        if self.started is None:
            return None
        sitting = 0.0 if self.sitting_started is None else (now or self.time) - self.sitting_started
        return self.seconds_before + sitting

    def phase_pace(self) -> float | None:
        """Units of the phase done a second, over its last tellings; None when unknown."""
        if len(self.phase_marks) < 2:
            return None
        (began, first), (ended, last) = self.phase_marks[0], self.phase_marks[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None

    def phase_seconds_left(self) -> float | None:
        """Time to the end of the phase at that pace, or None when unknown."""
        pace = self.phase_pace()
        if pace is None or self.phase_total is None or self.phase_done is None:
            return None
        return max(0, self.phase_total - self.phase_done) / pace


def apply(state: RunState, event: dict[str, Any]) -> None:
    """Fold one event into the state. Unknown types are kept as log text; unknown fields are ignored.

    An event that lacks a field, or holds something else in it, is kept as log text too: files get damaged.
    """
    kind = str(event.get("type", ""))
    if not has_shape(event):
        _log(state, "unreadable event", str(event)[:200])
        return
    state.sequence = int(event.get("seq", state.sequence))
    state.time = float(event.get("time", state.time))
    handler = _HANDLERS.get(kind)
    if handler is None:
        text = ", ".join(f"{key}={value}" for key, value in event.items() if key not in {"v", "seq", "time", "type"})
        _log(state, kind, text)
        return
    handler(state, event)
    state.time_left.take(event, state.time)
    state.last_active = state.time


def _end_sitting(state: RunState, ended: float) -> None:
    if state.sitting_started is not None:
        state.seconds_before += ended - state.sitting_started
        state.sitting_started = None


def _queued(state: RunState, event: dict[str, Any]) -> None:
    # A worker that was killed left its sitting open: it lasted up to the event before.
    _end_sitting(state, state.last_active)
    state.status = "queued"
    state.result = {}
    state.rung = {}
    state.phase_marks.clear()
    state.ended = None
    state.waits_for = waits_for(event)
    state.phase, state.phase_done, state.phase_total, state.phase_unit = "", None, None, None
    _log(state, "queued", f"waits for {state.waits_for}")


def _started(state: RunState, event: dict[str, Any]) -> None:
    state.status = "running"
    state.started = state.started or state.time
    _end_sitting(state, state.last_active)
    state.sitting_started = state.time
    state.ended = None
    state.host = str(event.get("host", ""))
    state.devices = [str(device) for device in event.get("devices", [])]
    state.oom_kills = event.get("oom_kills") or {}
    _log(state, "started", f"on {state.host}: {', '.join(state.devices)}")


def waits_for(event: dict[str, Any]) -> str:
    """What a queued event waits for, and which run uses that."""
    wanted = str(event.get("slot_wanted", "its turn"))
    return f"{wanted} (in use: {event['holder']})" if event.get("holder") else wanted


def _phase(state: RunState, event: dict[str, Any]) -> None:
    name = str(event.get("name", ""))
    if state.over:
        # A session that brings its model first is not queued yet: no device is held meanwhile.
        state.status, state.result, state.ended = "queued", {}, None
    if name != state.phase:
        _log(state, "phase", name)
    done, total = event.get("done"), event.get("total")
    if (name, total) != (state.phase, state.phase_total) or (done or 0) < (state.phase_done or 0):
        state.phase_marks.clear()
    if done is not None:
        state.phase_marks.append((state.time, int(done)))
    state.phase, state.phase_done, state.phase_total = name, done, total
    state.phase_unit = event.get("unit")
    if name == "train" and state.phase_total is not None:
        state.total_steps = int(state.phase_total)


def _rung_progress(state: RunState, event: dict[str, Any]) -> None:
    state.rung = event


def _scheduled(state: RunState, event: dict[str, Any]) -> None:
    state.total_steps = int(event["total_steps"])


def _step(state: RunState, event: dict[str, Any]) -> None:
    step = int(event["step"])
    state.step = step
    state.epoch = float(event.get("epoch") or 0.0)
    state.tokens = event.get("tokens", state.tokens)
    for name in ("loss", "learning_rate", "grad_norm", "tokens_per_second", "seconds"):
        if name in event:
            state.curve(name).add(step, event[name])
    for name, value in (event.get("metrics") or {}).items():
        if value is None or isinstance(value, (int, float)):
            state.curve(name).add(step, value)


def _evaluation(state: RunState, event: dict[str, Any]) -> None:
    _figures(state, event, "evaluation" if event.get("split", "validation") == "validation" else str(event["split"]))


def _probe(state: RunState, event: dict[str, Any]) -> None:
    given = event.get("intervals") or {}
    state.probe_intervals |= {
        name: ends
        for name, ends in given.items()
        if isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, (int, float)) for end in ends)
    }
    _figures(state, event, "probe")


def _figures(state: RunState, event: dict[str, Any], prefix: str) -> None:
    metrics = event.get("metrics") or {}
    for name, value in metrics.items():
        if name != "n" and not isinstance(value, (dict, list, str)):
            state.curve(f"{prefix}/{name}").add(float(event.get("step", 0)), value)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, (int, float)))
    _log(state, str(event["type"]), f"step {event.get('step')} {event.get('split', '')}: {shown}")


def _memory(state: RunState, event: dict[str, Any]) -> None:
    state.memory = event
    state.memory_history.append(event)
    if len(state.memory_history) > MEMORY_LIMIT:
        # Halve the density of the older half: the whole run stays in view, and memory stays bounded.
        state.memory_history = state.memory_history[: MEMORY_LIMIT // 2 : 2] + state.memory_history[MEMORY_LIMIT // 2 :]


def _forecast(state: RunState, event: dict[str, Any]) -> None:
    state.forecast = event


def _sample(state: RunState, event: dict[str, Any]) -> None:
    same = (event["step"], event["prompt"])
    state.samples = [sample for sample in state.samples if (sample["step"], sample["prompt"]) != same]
    state.samples.append(event)
    del state.samples[:-SAMPLE_LIMIT]


def _pairs(state: RunState, event: dict[str, Any]) -> None:
    done, metrics = int(event["done"]), event["metrics"]
    for name, value in metrics.items():
        if value is None or isinstance(value, (int, float)):
            state.curve(PAIRS_PREFIX + name).add(done, value)
    shown = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items() if isinstance(value, (int, float)))
    _log(state, "pairs", f"{done} of {event['total']} {event['stage']}: {shown}")
    example = event.get("example")
    if example:
        # Once it is judged, a pair takes the place of the one that was not.
        state.pairs = [pair for pair in state.pairs if pair.get("prompt") != example.get("prompt")]
        state.pairs = [*state.pairs, example][-PAIR_LIMIT:]


def _checkpoint_saved(state: RunState, event: dict[str, Any]) -> None:
    state.checkpoints.append(event)
    _log(state, "checkpoint", f"step {event.get('step')} saved ({event.get('reason', '')})")


def _resumed(state: RunState, event: dict[str, Any]) -> None:
    from_step = int(event.get("from_step", 0))
    state.status = "running"
    state.step = from_step
    for name, curve in state.curves.items():
        if not name.startswith(PAIRS_PREFIX):
            curve.cut_after(from_step)
    state.samples = [sample for sample in state.samples if sample.get("step", 0) <= from_step]
    state.checkpoints = [saved for saved in state.checkpoints if saved.get("step", 0) <= from_step]
    _log(state, "resumed", f"from step {from_step}")


def _stop_requested(state: RunState, event: dict[str, Any]) -> None:
    state.status = "stopping"
    _log(state, "stop requested", f"by {event.get('who', 'somebody')}")


def _recovered(state: RunState, event: dict[str, Any]) -> None:
    _log(state, "recovered", f"{event.get('what')}: {event.get('old')} → {event.get('new')}")


def _warned(state: RunState, event: dict[str, Any]) -> None:
    _log(state, "warning", _said(event))


def _ended(state: RunState, event: dict[str, Any]) -> None:
    state.status = str(event["type"])
    state.ended = state.time
    _end_sitting(state, state.time)
    state.result = event
    state.step = int(event.get("step", state.step))
    _log(state, state.status, _said(event))


def _said(event: dict[str, Any]) -> str:
    parts = [str(event[key]) for key in ("reason", "message", "details", "hint") if event.get(key)]
    return " · ".join(parts)


def _log(state: RunState, kind: str, text: str) -> None:
    state.log.append((state.time, kind, text))
    del state.log[:-LOG_LIMIT]


_HANDLERS = {
    "queued": _queued,
    "started": _started,
    "phase": _phase,
    "schedule": _scheduled,
    "rung_progress": _rung_progress,
    "step": _step,
    "evaluation": _evaluation,
    "probe": _probe,
    "memory": _memory,
    "forecast": _forecast,
    "sample": _sample,
    "pairs": _pairs,
    "checkpoint_saved": _checkpoint_saved,
    "resumed": _resumed,
    "stop_requested": _stop_requested,
    "recovered": _recovered,
    "warning": _warned,
    "finished": _ended,
    "stopped": _ended,
    "cancelled": _ended,
    "preempted": _ended,
    "failed": _ended,
}
