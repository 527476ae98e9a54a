"""How long a run still takes: what is still to come of each kind of work, at the time that kind has taken so far.

Work tells of itself when it is over, one after the other, so the time between two events is that of the later one.
"""

from dataclasses import dataclass, field
from typing import Any

RECENT_STEPS = 50
RECENT_OTHERS = 3
# Type of the event that ends it -> kind of work.
_KINDS = {
    "step": "steps",
    "evaluation": "evaluation",
    "sample": "samples",
    "probe": "texts",
    "checkpoint_saved": "checkpoint",
}
_BEGINS = ("started", "resumed", "schedule", "phase")


@dataclass
class TimeLeft:
    """Folds a run's events. `seconds`: kind of work -> step -> how long it took there."""

    plan: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, dict[int, float]] = field(default_factory=dict)
    step: int = 0
    _since: float = 0.0

    def take(self, event: dict[str, Any], time: float) -> None:
        """Take one event in; those that end no work and begin none are passed over."""
        kind = str(event.get("type"))
        if kind in _KINDS:
            if kind == "step":
                self.step = int(event["step"])
            self._add(_KINDS[kind], int(event["step"]), time)
        elif kind == "phase" and event.get("name") == "probe" and event.get("unit") == "texts":
            self._add("questions", self.step, time)
        elif kind not in _BEGINS:
            return
        if kind == "schedule":
            every = [value for name, value in event.items() if name.endswith("_steps")]
            self.plan = event if all(value is None or value > 0 for value in every) else {}
        elif kind == "resumed":
            self.step = int(event["from_step"])
            for known in self.seconds.values():
                for step in [step for step in known if step > self.step]:
                    del known[step]
        self._since = time

    def left(self, now: float) -> float | None:
        """Seconds from `now` to the run's end; None before the first step, and where the schedule is not known."""
        if not self.plan or not self.seconds.get("steps"):
            return None
        pending = {kind: count * self._usual(kind) for kind, count in self._to_come().items() if count}
        # What goes on now has been going on since the last event; it takes no longer than one of its kind.
        longest = max((self._usual(kind) for kind in pending), default=0.0)
        return sum(pending.values()) - min(max(0.0, now - self._since), longest)

    def _add(self, kind: str, step: int, time: float) -> None:
        of_kind = self.seconds.setdefault(kind, {})
        # The pinned prompts are answered together and told of one by one.
        of_kind[step] = (of_kind.get(step, 0.0) if kind == "samples" else 0.0) + time - self._since

    def _usual(self, kind: str) -> float:
        known = self.seconds.get(kind, {})
        # The first step warms up; the first texts are read once more, to keep what the base says of them.
        first = min(known, default=0)
        later = [seconds for step, seconds in known.items() if step != first or kind not in ("steps", "texts")]
        recent = (later or list(known.values()))[-(RECENT_STEPS if kind == "steps" else RECENT_OTHERS) :]
        return sum(recent) / len(recent) if recent else 0.0

    def _to_come(self) -> dict[str, int]:
        total = int(self.plan["total_steps"])
        probes, has_probe = 0, self.plan.get("probe_steps") is not None
        if has_probe:
            # The last step's probe comes with its questions, when training is over.
            probes = self._due("texts", int(self.plan["probe_steps"]), last=False)
        whole = int(has_probe and (self.step < total or total not in self.seconds.get("texts", {})))
        saves = self._due("checkpoint", int(self.plan["save_steps"]))
        samples = self.plan.get("sample_steps")
        return {
            "steps": total - self.step,
            "evaluation": self._due("evaluation", int(self.plan["eval_steps"])),
            "samples": 0 if samples is None else self._due("samples", int(samples)),
            "texts": probes + whole,
            "questions": int(whole and total not in self.seconds.get("questions", {})),
            # The result is written as a checkpoint is.
            "checkpoint": saves + 1,
        }

    def _due(self, kind: str, every: int, last: bool = True) -> int:
        """How often it is still to be done: after each `every` steps, and after the last one or not."""
        total, done = int(self.plan["total_steps"]), self.seconds.get(kind, {})
        steps = total // every - self.step // every
        if last:
            steps += int(total % every != 0 and self.step < total)
        elif self.step < total and total % every == 0:
            steps -= 1
        here = self.step > 0 and self.step not in done
        if here and (self.step % every == 0 if self.step < total else last):
            steps += 1
        return steps
