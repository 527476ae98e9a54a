"""Events as lines of plain text, for `rung run` and `rung watch`."""

from collections.abc import Callable
from typing import Any

from rung.engine.jobs.fold import RunState, waits_for
from rung.tui.text.climbs import progress_words
from rung.tui.text.phases import amount, download_line
from rung.tui.text.words import duration, figure, gibibytes, one_line, printable

Event = dict[str, Any]
TEXT_WIDTH = 400


def event_line(event: Event, state: RunState) -> str:
    """One event as a line; `state` is the run's state with this event, and perhaps later ones, folded in."""
    kind = str(event.get("type", "?"))
    words = _WORDS.get(kind, _fields)
    return printable(f"{kind:<16} {words(event, state)}".rstrip())


def status_line(state: RunState) -> str:
    """The whole state in one live line."""
    if state.status == "queued" and not state.phase:
        return f"waits for {printable(state.waits_for)}"
    if state.phase == "download":
        return f"download {download_line(state)}"
    if state.rung:
        return f"{progress_words(state.rung)} · {_doing(state)}"
    if state.phase not in ("", "train") and state.phase_total:
        return f"{state.phase} {amount(state.phase_done, state.phase_total, state.phase_unit)}"
    if not state.step:
        return f"{state.status} · {state.phase or 'starting'}"
    parts = [f"step {_of(state.step, state.total_steps)}"]
    # The loss of a method that learns from rewards says nothing: it is about 0 whatever is learned.
    main = "reward" if "reward" in state.curves else "loss"
    for name, label in ((main, main), (f"evaluation/{main}", "validation")):
        if (curve := state.curves.get(name)) and curve.last is not None:
            parts.append(f"{label} {curve.last:.4f}")
    if (curve := state.curves.get("tokens_per_second")) and curve.last:
        parts.append(f"{curve.last:,.0f} tok/s")
    parts.append(f"left {duration(state.seconds_left())}")
    return " · ".join([*parts, state.status] if state.status != "running" else parts)


def _doing(state: RunState) -> str:
    """What a climb does right now, behind how far its rung is."""
    if state.phase_total:
        return f"{state.phase} {amount(state.phase_done, state.phase_total, state.phase_unit)}"
    return f"{state.phase} {state.phase_unit or ''}".strip()


def _step(event: Event, state: RunState) -> str:
    parts = [_of(int(event.get("step", 0)), state.total_steps), f"loss {_figure(event.get('loss'))}"]
    if event.get("learning_rate") is not None:
        parts.append(f"lr {event['learning_rate']:.2e}")
    if event.get("grad_norm") is not None:
        parts.append(f"grad {event['grad_norm']:.3g}")
    if event.get("tokens_per_second") is not None:
        parts.append(f"{event['tokens_per_second']:,.0f} tok/s")
    parts += [f"{name} {_figure(value)}" for name, value in (event.get("metrics") or {}).items()]
    return "  ".join(parts)


def _scores(event: Event, state: RunState) -> str:
    metrics = (event.get("metrics") or {}).items()
    shown = "  ".join(f"{name} {_figure(value)}" for name, value in metrics)
    return f"step {event.get('step')}  {event.get('split', '')}  {shown}"


def _phase(event: Event, state: RunState) -> str:
    done, total = event.get("done"), event.get("total")
    if total is None:
        return str(event.get("name"))
    return f"{event.get('name')}  {amount(done, total, event.get('unit'))}"


def _schedule(event: Event, state: RunState) -> str:
    names = (("eval_steps", "evaluation"), ("save_steps", "checkpoint"), ("probe_steps", "probe"),
        ("sample_steps", "samples"))  # fmt: skip
    every = [f"{word} every {event[name]:,}" for name, word in names if event.get(name) is not None]
    return f"{event['total_steps']:,} steps: {', '.join(every)}, and at the end"


def _memory(event: Event, state: RunState) -> str:
    devices = event.get("devices") or []
    shown = [
        f"{device.get('name')}  job {gibibytes(device.get('job_reserved'))} (peak {gibibytes(device.get('job_peak'))})"
        f"  {gibibytes(device.get('used'))} of {gibibytes(device.get('total'))}  {_of_device(device)}"
        for device in devices
    ]
    if not devices:
        cpu = event.get("process_cpu")
        shown.append(f"no GPU: process {gibibytes(event.get('process_rss'))}")
        shown.append("cpu –" if cpu is None else f"cpu {cpu:.0f} %")
        shown.append(f"machine {gibibytes(event.get('machine_used'))} of {gibibytes(event.get('machine_total'))}")
    return "  ".join(shown)


def _of_device(device: Event) -> str:
    readings = (("utilisation", "%"), ("temperature_c", "°C"), ("power_w", "W"))
    shown = [f"{device[name]:.0f} {unit}" for name, unit in readings if device.get(name) is not None]
    return "  ".join([*shown, "throttled"] if device.get("throttled") else shown)


def _forecast(event: Event, state: RunState) -> str:
    parts = ", ".join(f"{name} {gibibytes(value)}" for name, value in (event.get("parts") or {}).items())
    measured = f"  measured {gibibytes(event['measured'])}" if event.get("measured") is not None else ""
    return f"{gibibytes(event.get('bytes'))} ({parts}){measured}  time {duration(event.get('seconds'))}"


def _sample(event: Event, state: RunState) -> str:
    answers = "  ".join(
        f"{name} “{one_line(str(event[name]), 90)}”"
        for name in ("base", "current", "reference")
        if event.get(name) is not None
    )
    return f"step {event.get('step')}  “{one_line(str(event.get('prompt', '')), 90)}”  {answers}"


def _finished(event: Event, state: RunState) -> str:
    if not event.get("chosen_checkpoint"):
        return str(event.get("artifact"))  # An evaluation or a climb: no steps, no checkpoints.
    metrics = (event.get("metrics") or {}).items()
    shown = event.get("outcome") or "  ".join(f"{name} {_figure(value)}" for name, value in metrics)
    worse = f"  {event['worse']}" if event.get("worse") else ""
    return f"step {event.get('step')}  {shown}  {event.get('artifact')} ({event.get('chosen_checkpoint')}){worse}"


def _pairs(event: Event, state: RunState) -> str:
    metrics = (event.get("metrics") or {}).items()
    shown = "  ".join(f"{name} {_figure(value)}" for name, value in metrics)
    example = event.get("example") or {}
    texts = "  ".join(
        f"{name} “{one_line(str(example[name]), 90)}”"
        for name in ("prompt", "first", "critique", "revised", "judge")
        if example.get(name) is not None
    )
    return f"{event.get('stage')} {_of(event.get('done', 0), event.get('total'))}  {shown}  {texts}"


def _ended(event: Event, state: RunState) -> str:
    if event.get("reason"):
        return one_line(str(event["reason"]), TEXT_WIDTH)
    return f"step {event.get('step')}  {'rung resume goes on from here' if event.get('resumable') else 'not resumable'}"


def _said(event: Event, state: RunState) -> str:
    return " · ".join(one_line(str(event[key]), TEXT_WIDTH) for key in ("message", "details", "hint") if event.get(key))


def _recovered(event: Event, state: RunState) -> str:
    return f"{event.get('what')}: {event.get('old')} → {event.get('new')}"


def _fields(event: Event, state: RunState) -> str:
    fields = (f"{key}={value}" for key, value in event.items() if key not in {"v", "seq", "time", "type"})
    return one_line("  ".join(fields), TEXT_WIDTH)


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,}/{total:,}"


def _figure(value: Any) -> str:
    if value is None:
        return "not finite"
    if isinstance(value, int):
        return f"{value:,}"
    return figure(value, 4) if isinstance(value, float) else str(value)


def _tried(event: Event, state: RunState) -> str:
    said = f"{event.get('rung')}  {event.get('label')}  {event.get('metric')} {_figure(event.get('score'))}"
    interval = f" [{_figure(event['low'])}, {_figure(event['high'])}]" if "low" in event else ""
    return f"{said}{interval}  n {event.get('n')}"


def _decided(event: Event, state: RunState) -> str:
    return " · ".join([str(event.get("rung")), *map(str, event.get("reasons") or [])])


_WORDS: dict[str, Callable[[Event, RunState], str]] = {
    "queued": lambda event, state: f"waits for {waits_for(event)}",
    "started": lambda event, state: f"on {', '.join(map(str, [event.get('host'), *(event.get('devices') or [])]))}",
    "phase": _phase,
    "schedule": _schedule,
    "step": _step,
    "evaluation": _scores,
    "probe": _scores,
    "memory": _memory,
    "forecast": _forecast,
    "sample": _sample,
    "pairs": _pairs,
    "checkpoint_saved": lambda event, state: f"step {event.get('step')}  {event.get('path')} ({event.get('reason')})",
    "resumed": lambda event, state: f"from step {event.get('from_step')}",
    "stop_requested": lambda event, state: f"by {event.get('who')}",
    "recovered": _recovered,
    "warning": _said,
    "tried": _tried,
    "scored": _tried,
    "chosen": lambda event, state: f"{event.get('rung')}  {event.get('label')}  {event.get('why')}",
    "rung_progress": lambda event, state: progress_words(event),
    "skipped": lambda event, state: f"{event.get('rung')}  {event.get('why')}",
    "rung_failed": lambda event, state: f"{event.get('rung')}  {_said(event, state)}",
    "decided": _decided,
    "finished": _finished,
    "stopped": _ended,
    "cancelled": _ended,
    "preempted": _ended,
    "failed": _said,
}
