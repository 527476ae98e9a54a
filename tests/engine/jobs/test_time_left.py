"""The time a run still takes: evaluations, probe, samples, checkpoints and what comes after the last step are in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.folder import new_run_folder
from rung.engine.training.job import make_schedule
from tests.helpers.method_runs import chat_rows, make_recipe, sit, write_rows
from tests.helpers.tiny import make_tiny_model

SECONDS = {"step": 2.0, "evaluation": 20.0, "samples": 6.0, "texts": 8.0, "questions": 40.0, "checkpoint": 3.0}


def simulated(total: int = 40, every: int = 10) -> Iterator[tuple[float, dict[str, Any]]]:
    """(time, event) of a run as the worker writes them; its first step and first texts take longer."""
    now = 100.0
    plan = dict.fromkeys(("eval_steps", "save_steps", "probe_steps", "sample_steps"), every)

    def after(kind: str, event: dict[str, Any], times: float = 1.0) -> tuple[float, dict[str, Any]]:
        nonlocal now
        now += SECONDS.get(kind, 0.0) * times
        return now, event

    def samples(step: int) -> Iterator[tuple[float, dict[str, Any]]]:
        for number, kind in enumerate(("samples", "", "")):
            yield after(kind, {"type": "sample", "step": step, "prompt": str(number), "base": "", "current": ""})

    def evaluation(step: int) -> tuple[float, dict[str, Any]]:
        return after("evaluation", {"type": "evaluation", "step": step, "split": "validation", "metrics": {}})

    def probe(step: int, times: float = 1.0) -> tuple[float, dict[str, Any]]:
        return after("texts", {"type": "probe", "step": step, "split": "general", "metrics": {}}, times)

    yield now, {"type": "started", "host": "h", "pid": 1, "devices": ["cpu"], "world_size": 1}
    yield now, {"type": "schedule", "total_steps": total, **plan}
    yield now, {"type": "phase", "name": "evaluate", "done": 0, "total": 9, "unit": "rows"}
    yield evaluation(0)
    yield from samples(0)
    yield now, {"type": "phase", "name": "probe", "unit": "questions"}
    yield after("questions", {"type": "phase", "name": "probe", "unit": "texts"})
    yield probe(0, 2.0)
    yield now, {"type": "phase", "name": "train", "done": 0, "total": total, "unit": "steps"}
    for step in range(1, total + 1):
        yield after("step", {"type": "step", "step": step, "epoch": 0.1, "loss": 1.0}, 3.0 if step == 1 else 1.0)
        yield now, {"type": "memory", "devices": []}
        if step % every == 0 or step == total:
            yield evaluation(step)
            yield from samples(step)
            if step != total:
                yield probe(step)
            yield after("checkpoint", {"type": "checkpoint_saved", "step": step, "path": "", "reason": "schedule"})
    yield now, {"type": "phase", "name": "probe", "unit": "questions"}
    yield after("questions", {"type": "phase", "name": "probe", "unit": "texts"})
    yield probe(total)
    yield now, {"type": "phase", "name": "export"}
    end = {"type": "finished", "step": total, "metrics": {}, "artifact": "", "chosen_checkpoint": ""}
    yield after("checkpoint", end)


def followed(events: list[tuple[float, dict[str, Any]]]) -> list[tuple[dict[str, Any], float, float | None]]:
    """(event, seconds that were left after it, seconds that the fold said)."""
    state, found = RunState(), []
    for seq, (time, event) in enumerate(events):
        apply(state, {"v": 1, "seq": seq, "time": time} | event)
        found.append((event, events[-1][0] - time, state.seconds_left()))
    return found


@pytest.mark.parametrize(("total", "every"), [(40, 10), (43, 10), (6, 6), (100, 10)])
def test_the_estimate_gets_better_and_counts_what_comes_after_the_last_step(total: int, every: int) -> None:
    steps = [(left, said) for event, left, said in followed(list(simulated(total, every))) if event["type"] == "step"]
    errors = [abs(said - left) for left, said in steps if said is not None]
    assert len(errors) == total, "it is known from the first step on"
    quarter = max(1, total // 4)
    assert sum(errors[-quarter:]) <= sum(errors[:quarter])
    assert all(error <= 0.35 * left for error, (left, _) in zip(errors[1:], steps[1:], strict=True))
    left, said = steps[-1]
    assert left > 70.0, "evaluation, samples, checkpoint, questions, texts and export are still to come"
    assert said == pytest.approx(left, abs=5.0)


def test_it_falls_while_something_long_goes_on() -> None:
    """A memory event every two seconds says that the run lives: what began before it has been going on since."""
    events = list(simulated())
    last_probe = next(n for n in reversed(range(len(events))) if events[n][1].get("unit") == "questions")
    time = events[last_probe][0]
    events.insert(last_probe + 1, (time + 30.0, {"type": "memory", "devices": []}))
    told = followed(events)
    before, during = told[last_probe][2], told[last_probe + 1][2]
    assert before is not None and during is not None
    assert before - during == pytest.approx(30.0)


def test_after_a_resume_it_counts_from_the_checkpoint() -> None:
    events = list(simulated())
    cut = next(n for n, (_, event) in enumerate(events) if event.get("step") == 27)
    time, head = events[cut][0], events[:cut]
    again = [
        (time + 1000.0, {"type": "queued", "slot_wanted": "cpu"}),
        (time + 1001.0, {"type": "started", "host": "h", "pid": 2, "devices": ["cpu"], "world_size": 1}),
        (time + 1002.0, {**events[1][1]}),
        (time + 1003.0, {"type": "resumed", "from_step": 20}),
    ]
    said = followed([*head, *again])[-1][2]
    # Twenty steps, two evaluations with samples and checkpoint, one probe between, the whole one, the result.
    assert said == pytest.approx(20 * 2.0 + 2 * (20.0 + 6.0 + 3.0) + 8.0 + 48.0 + 3.0, abs=1.0)


def test_a_run_that_tells_no_schedule_counts_its_steps() -> None:
    events = [(time, event) for time, event in simulated() if event["type"] != "schedule"]
    for _, event in events:
        if event["type"] == "step":
            event["seconds"] = 2.0
    told = [said for event, _, said in followed(events) if event.get("step") == 30 and event["type"] == "step"]
    assert told == [20.0]


@pytest.mark.parametrize(
    ("steps", "held", "wanted"),
    [(6, 4, 6), (9, 60, 9), (20, 16, 10), (25, 16, 13), (90, 16, 10), (159, 60, 16), (1000, 200, 100), (40, 320, 40)],
)
def test_a_short_run_evaluates_at_its_end_and_between_as_its_length_allows(steps: int, held: int, wanted: int) -> None:
    """Rows come eight a step: no more of them are evaluated than trained on, and no ten evaluations in twenty steps."""
    training = {"max_steps": -1, "num_train_epochs": 1, "per_device_train_batch_size": 8, "eval_steps": None}
    schedule = make_schedule(make_recipe("sft", "tiny", training=training), steps * 8, held)
    assert (schedule.total_steps, schedule.eval_steps) == (steps, wanted)
    assert (schedule.save_steps, schedule.probe_steps, schedule.sample_steps) == (wanted,) * 3
    named = make_schedule(make_recipe("sft", "tiny", training={**training, "eval_steps": 1}), steps * 8, held)
    assert named.eval_steps == 1


def test_a_run_of_six_steps_evaluates_before_and_after(tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(26)), "sft")
    model = make_tiny_model(tmp_path / "tiny")
    training = {"num_train_epochs": 1, "eval_steps": None, "per_device_train_batch_size": 4}
    sit(make_recipe("sft", model, training=training, probe={"source": "builtin"}), folder)
    events = read_json_lines(folder.events)
    assert max(event["step"] for event in events if event["type"] == "step") == 6
    for kind in ("evaluation", "probe", "sample"):
        assert sorted({event["step"] for event in events if event["type"] == kind}) == [0, 6]
    state = RunState()
    left = []
    for event in events:
        apply(state, event)
        left.append((event["type"], state.seconds_left()))
    steps = [said for kind, said in left if kind == "step"]
    assert all(said is not None and said > 0 for said in steps), "also at the last step"
    assert len(state.time_left.seconds) == 6


def test_a_damaged_schedule_is_none() -> None:
    state = RunState()
    for seq, (time, event) in enumerate(simulated()):
        changed = event | {"eval_steps": 0} if event["type"] == "schedule" else event
        apply(state, {"v": 1, "seq": seq, "time": time} | changed)
        assert state.seconds_left() is None
