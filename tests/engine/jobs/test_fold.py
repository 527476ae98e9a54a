"""What a run's events add up to."""

from typing import Any

from rung.engine.jobs.fold import RunState, apply

RUN: list[tuple[float, dict[str, Any]]] = [
    (0, {"type": "queued", "slot_wanted": "cpu"}),
    (1, {"type": "started", "host": "h", "pid": 1, "devices": ["cpu"], "world_size": 1}),
    (5, {"type": "stopped", "step": 2, "resumable": True}),
    (1000, {"type": "queued", "slot_wanted": "cpu"}),
    (1001, {"type": "started", "host": "h", "pid": 2, "devices": ["cpu"], "world_size": 1}),
    (1003, {"type": "step", "step": 3, "epoch": 0.5, "loss": 1.0}),  # Killed after it: no last word.
    (5000, {"type": "queued", "slot_wanted": "cpu"}),
    (5001, {"type": "started", "host": "h", "pid": 3, "devices": ["cpu"], "world_size": 1}),
    (5002, {"type": "step", "step": 3, "epoch": 0.5, "loss": 1.0}),
    (5004, {"type": "finished", "step": 4, "metrics": {}, "artifact": "adapter", "chosen_checkpoint": "step-4"}),
]


def test_the_time_of_a_run_leaves_out_what_lies_between_its_sittings() -> None:
    state = RunState()
    worked = []
    for seq, (time, event) in enumerate(RUN):
        apply(state, {"v": 1, "seq": seq, "time": float(time)} | event)
        worked.append(state.seconds_worked())
    assert worked == [None, 0, 4, 4, 4, 6, 6, 6, 7, 9]


def test_a_live_run_is_counted_up_to_now() -> None:
    state = RunState()
    for seq, (time, event) in enumerate(RUN[:5]):
        apply(state, {"v": 1, "seq": seq, "time": float(time)} | event)
    assert state.seconds_worked(now=1011.0) == 14


def test_a_session_that_brings_its_model_first_is_not_over() -> None:
    """Its end of before doesn't count, though nothing is queued until the model is there."""
    state = RunState()
    for number, event in enumerate(
        [
            {"type": "stopped", "step": 0, "resumable": True},
            {"type": "phase", "name": "download", "done": 3, "total": 9, "unit": "bytes"},
        ]
    ):
        apply(state, {"v": 1, "seq": number, "time": 1.0 + number} | event)
    assert (state.status, state.over, state.result) == ("queued", False, {})
