"""The events a worker writes to `events.jsonl`: one frozen dataclass a type, and their one-line JSON form.

The types here are the contract; docs/events.md is generated from them (`python -m rung.engine.jobs.events_page`).
"""

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from rung.engine.machine.devices import DeviceMemory

VERSION = 1
TERMINAL_TYPES = frozenset({"finished", "stopped", "cancelled", "failed", "preempted"})


def _about(help_text: str, **options: Any) -> Any:
    return field(metadata={"help": help_text}, **options)


@dataclass(frozen=True)
class Event:
    """One past fact of a run. `type` is the word in the file."""

    type: ClassVar[str]


@dataclass(frozen=True)
class Queued(Event):
    """The run waits for its slot."""

    type = "queued"
    slot_wanted: str = _about("what it waits for: the device, or one of several, or the job ahead of it")
    holder: str | None = _about("which run has it; null while none is known to", default=None)


@dataclass(frozen=True)
class Started(Event):
    """The worker has its slot and begins."""

    type = "started"
    host: str = _about("host name")
    pid: int = _about("process id on that host; for people, never used to tell whether the run is alive")
    devices: list[str] = _about("cpu, or index, name and UUID of the GPU it took")
    world_size: int = _about("number of training processes")
    oom_kills: dict[str, int] = _about(
        "the kernel's count of processes killed for want of memory so far, by the counter's file", default_factory=dict
    )
    launcher: str = _about("what started them: local, a process on this machine", default="local")


@dataclass(frozen=True)
class Phase(Event):
    """A stage of the job began or moved on."""

    type = "phase"
    name: str = _about("download, load, generate, tokenise, preflight, train, evaluate, probe, save, export")
    done: int | None = _about("units done", default=None)
    total: int | None = _about("units in all; null when unknown", default=None)
    unit: str | None = _about("what is counted: rows, tokens, bytes, steps", default=None)


@dataclass(frozen=True)
class Scheduled(Event):
    """When a training run does what: each so many steps, and after the last one."""

    type = "schedule"
    total_steps: int = _about("optimizer steps in all")
    eval_steps: int = _about("steps between evaluations")
    save_steps: int = _about("steps between checkpoints")
    probe_steps: int | None = _about("steps between readings of the forgetting meter; null: none", default=None)
    sample_steps: int | None = _about("steps between answers to the pinned prompts; null: none", default=None)


@dataclass(frozen=True)
class Step(Event):
    """One optimizer step."""

    type = "step"
    step: int = _about("optimizer steps so far")
    epoch: float = _about("passes over the training data so far")
    loss: float | None = _about("mean training loss since the last step event, nats per trained token")
    learning_rate: float | None = _about("learning rate of this step", default=None)
    grad_norm: float | None = _about("gradient norm before clipping", default=None)
    tokens: int | None = _about("real tokens seen so far, all of the run's sittings together", default=None)
    tokens_per_second: float | None = _about("real tokens per second since the last step event", default=None)
    seconds: float | None = _about("wall time of this step", default=None)
    metrics: dict[str, float | None] = _about("the method's own figures", default_factory=dict)


@dataclass(frozen=True)
class Evaluation(Event):
    """Scores on a split."""

    type = "evaluation"
    step: int = _about("optimizer steps so far")
    split: str = _about("validation or test")
    metrics: dict[str, float | None] = _about("figures by name, with n, the number of examples")


@dataclass(frozen=True)
class Probe(Event):
    """The forgetting meter."""

    type = "probe"
    step: int = _about("optimizer steps so far; 0 is before training")
    split: str = _about("which probe: general, or the user's name for it")
    metrics: dict[str, float | None] = _about("figures by name, with n")
    intervals: dict[str, list[float]] = _about("[low, high] of each figure, 95 %", default_factory=dict)


@dataclass(frozen=True)
class Memory(Event):
    """A sample of memory and load: per GPU, or of the process where there is none."""

    type = "memory"
    devices: list[DeviceMemory] = _about("one entry a GPU; empty without one", default_factory=list)
    process_rss: int | None = _about("resident bytes of the worker", default=None)
    process_cpu: float | None = _about("per cent of one core, so 200 is two cores", default=None)
    machine_used: int | None = _about("bytes in use on the machine", default=None)
    machine_total: int | None = _about("bytes of the machine (or of its container's limit)", default=None)


@dataclass(frozen=True)
class Forecast(Event):
    """Memory and time expected; `measured` after the preflight step."""

    type = "forecast"
    parts: dict[str, int] = _about("bytes by part: weights, adapter, gradients, optimizer, activations, logits, probe")
    bytes: int = _about("sum of the parts")
    seconds: float | None = _about("expected time from here to the end of the run", default=None)
    measured: int | None = _about("bytes measured above the idle process, after one real step", default=None)


@dataclass(frozen=True)
class Sample(Event):
    """A pinned prompt answered by the base and by the current state of training."""

    type = "sample"
    step: int = _about("optimizer steps so far")
    prompt: str = _about("the last user turn")
    base: str = _about("the base model's answer")
    current: str = _about("the answer at this step")
    reference: str | None = _about("the wanted answer, where there is one", default=None)


@dataclass(frozen=True)
class PairsMade(Event):
    """Some more preference pairs were made, or judged, of the model's own answers, before training on them."""

    type = "pairs"
    stage: str = _about("revised or judged")
    done: int = _about("prompts, or pairs, so far")
    total: int = _about("prompts, or pairs, in all")
    metrics: dict[str, float | None] = _about("figures over those so far: share_revised, judge_agreement…")
    example: dict[str, str] | None = _about(
        "one of the newest: prompt, first, principle, critique, revised, and the judge's verdict", default=None
    )


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A complete checkpoint is on disk under its final name."""

    type = "checkpoint_saved"
    step: int = _about("optimizer steps so far")
    path: str = _about("folder, relative to the run")
    reason: str = _about("schedule, request, stop, best, end")


@dataclass(frozen=True)
class Resumed(Event):
    """The run goes on from a checkpoint; a reader drops later steps."""

    type = "resumed"
    from_step: int = _about("the checkpoint's step")


@dataclass(frozen=True)
class StopRequested(Event):
    """Somebody asked the run to stop; it saves, then ends."""

    type = "stop_requested"
    who: str = _about("user@host, signal, guard")


@dataclass(frozen=True)
class Recovered(Event):
    """The worker changed something and went on."""

    type = "recovered"
    what: str = _about("what happened, for example out of memory")
    old: dict[str, Any] = _about("values before")
    new: dict[str, Any] = _about("values after")


@dataclass(frozen=True)
class Warned(Event):
    """Something a person should know; the run goes on."""

    type = "warning"
    message: str = _about("one sentence")
    details: str = _about("figures, file, line, field", default="")
    hint: str = _about("what to do", default="")


@dataclass(frozen=True)
class Finished(Event):
    """The run is complete and its artifact is in place."""

    type = "finished"
    step: int = _about("optimizer steps in all")
    metrics: dict[str, float | None] = _about("final figures")
    artifact: str = _about("adapter or model, relative to the run")
    chosen_checkpoint: str = _about("which checkpoint the artifact is, and how it was chosen")
    forgetting: dict[str, float | None] = _about("probe after minus before, by name", default_factory=dict)
    forgetting_intervals: dict[str, list[float]] = _about(
        "[low, high] of each change, 95 %, the same texts and questions compared", default_factory=dict
    )
    forgetting_before: dict[str, float | None] = _about(
        "probe before training, by name, with its counts", default_factory=dict
    )
    forgetting_of: str | None = _about("which probe: general, or the user's name for it", default=None)
    outcome: str = _about("the figures that the method is about, before the first step and after, in words", default="")
    worse: str = _about("which of them came out worse than before, in words; empty: none", default="")


@dataclass(frozen=True)
class Stopped(Event):
    """The run ended early as asked, saved."""

    type = "stopped"
    step: int = _about("optimizer steps so far")
    resumable: bool = _about("whether `rung resume` can go on")
    reason: str = _about("why, where nobody asked: the recipe stops here, for a person to look", default="")


@dataclass(frozen=True)
class Cancelled(Event):
    """The run ended early as asked, without saving."""

    type = "cancelled"
    step: int = _about("optimizer steps so far")
    resumable: bool = _about("whether an earlier checkpoint exists")


@dataclass(frozen=True)
class Preempted(Event):
    """The machine took the run's place away."""

    type = "preempted"
    step: int = _about("optimizer steps so far")
    resumable: bool = _about("whether a checkpoint exists")


@dataclass(frozen=True)
class Failed(Event):
    """The run ended on an error."""

    type = "failed"
    message: str = _about("one sentence")
    details: str = _about("file, line, field, or the end of the log", default="")
    hint: str = _about("what to do", default="")
    resumable: bool = _about("whether a checkpoint exists", default=False)


EVENT_TYPES: dict[str, type[Event]] = {
    event.type: event
    for event in (
        Queued, Started, Phase, Scheduled, Step, Evaluation, Probe, Memory, Forecast, Sample, PairsMade,
        CheckpointSaved, Resumed, StopRequested, Recovered, Warned, Finished, Stopped, Cancelled, Preempted, Failed,
    )
}  # fmt: skip


def to_json_line(event: Event, sequence: int, time: float) -> str:
    """The event's line for `events.jsonl`, newline included. Non-finite numbers become null, and are said."""
    payload = {item.name: _plain(getattr(event, item.name)) for item in fields(event)}
    value: dict[str, Any] = {"v": VERSION, "seq": sequence, "time": round(time, 3), "type": event.type}
    finite, all_finite = _finite(payload)
    value |= finite
    if not all_finite:
        value["non_finite"] = True
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, DeviceMemory):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _finite(value: Any) -> tuple[Any, bool]:
    if isinstance(value, float) and not math.isfinite(value):
        return None, False
    if isinstance(value, dict):
        pairs = {key: _finite(item) for key, item in value.items()}
        return {key: item[0] for key, item in pairs.items()}, all(item[1] for item in pairs.values())
    if isinstance(value, list):
        items = [_finite(item) for item in value]
        return [item[0] for item in items], all(item[1] for item in items)
    return value, True
