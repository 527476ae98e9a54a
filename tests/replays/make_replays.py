"""Writes the recorded-looking event logs that tests and pictures replay: `python tests/replays/make_replays.py`.

All figures are synthetic: seeded formulas, not measurements. They go through the product's own event types, so a change
of the format changes these files. The host is called `synthetic` in each.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rung.engine.jobs.events import (  # noqa: E402 - the path above finds it
    CheckpointSaved,
    DeviceMemory,
    Evaluation,
    Event,
    Failed,
    Finished,
    Forecast,
    Memory,
    Phase,
    Probe,
    Queued,
    Recovered,
    Sample,
    Started,
    Step,
    Warned,
    to_json_line,
)

START = 1_763_890_200.0  # 2025-11-23 09:30:00 UTC
GIB = 2**30
Timed = tuple[float, Event]


def sft_two_gpus(steps: int = 412, total: int = 620) -> Iterator[Timed]:
    """A LoRA run on two big GPUs, going on: the last event is a step."""
    random.seed(7)
    yield 0.0, Queued("2 GPUs")
    yield 0.4, Started("synthetic", 4242, ["NVIDIA H100 80GB HBM3 0", "NVIDIA H100 80GB HBM3 1"], 2)
    yield 1.0, Phase("load", 0, 1, "models")
    yield 9.0, Phase("tokenise", 9_920, 9_920, "rows")
    parts = {"weights": int(15.1 * GIB), "adapter": int(0.3 * GIB), "optimizer": int(0.6 * GIB)}
    parts |= {"activations": int(19.2 * GIB), "logits": int(4.6 * GIB)}
    yield 14.0, Forecast(parts, sum(parts.values()), 1510.0)
    yield 18.0, Forecast(parts, sum(parts.values()), 1490.0, int(38.9 * GIB))
    yield 18.5, Probe(0, "general", {"perplexity": 12.1, "kl_from_base": 0.0, "n": 64})
    yield 19.0, Phase("train", 0, total, "steps")
    for step in range(1, steps + 1):
        at = 19.0 + step * 2.31
        yield at, _step(step, total, 2.31, 18_420)
        if step % 4 == 0:
            yield at + 0.1, Memory([_gpu(0, step), _gpu(1, step)])
        if step % 50 == 0:
            yield at + 0.2, Evaluation(step, "validation", {"loss": round(_loss(step) * 1.06 + 0.02, 4), "n": 200})
            figures = {"perplexity": round(12.1 + 0.8 * (1 - math.exp(-step / 220)), 3), "n": 64.0}
            figures["kl_from_base"] = round(0.035 * (1 - math.exp(-step / 200)), 4)
            yield at + 0.3, Probe(step, "general", figures)
            yield from ((at + 0.4, sample) for sample in _samples(step))
        if step % 100 == 0:
            yield at + 0.5, CheckpointSaved(step, f"checkpoints/step-{step}", "schedule")


def dpo_cpu(total: int = 120) -> Iterator[Timed]:
    """A finished preference run on CPU, with the method's own figures and a recovery."""
    random.seed(11)
    yield 0.0, Queued("this machine")
    yield 0.2, Started("synthetic", 77, ["cpu"], 1)
    yield 3.0, Phase("load", 1, 1, "models")
    yield 5.0, Forecast({"weights": 8 * 2**20, "activations": 310 * 2**20}, 318 * 2**20, 65.0, 301 * 2**20)
    yield 6.0, Recovered("out of memory", {"per_device_train_batch_size": 8}, {"per_device_train_batch_size": 4})
    yield 6.5, Phase("train", 0, total, "steps")
    for step in range(1, total + 1):
        at = 6.5 + step * 0.52
        margin = 1.9 * (1 - math.exp(-step / 45)) + random.gauss(0, 0.12)
        loss = 0.69 * math.exp(-step / 90) + 0.08 + abs(random.gauss(0, 0.03))
        metrics: dict[str, float | None] = {
            "rewards/margins": round(margin, 4),
            "rewards/accuracies": round(min(1.0, 0.5 + 0.5 * (1 - math.exp(-step / 30))), 3),
            "rewards/chosen": round(margin * 0.4, 4),
            "rewards/rejected": round(-margin * 0.6, 4),
        }
        rate = 5e-6 * min(1, step / 6) * (0.5 + 0.5 * math.cos(math.pi * step / total))
        yield (
            at,
            Step(
                step, step / 60, round(loss, 4), rate, round(random.uniform(2, 4), 3), step * 310, 596.0, 0.52, metrics
            ),
        )
        if step % 5 == 0:
            yield at, Memory([], int((1.1 + 0.1 * math.sin(step)) * GIB), 188.0, int(9.8 * GIB), int(15.6 * GIB))
        if step % 30 == 0:
            yield (
                at,
                Evaluation(step, "validation", {"loss": round(loss * 1.1, 4), "rewards/accuracies": 0.9, "n": 40.0}),
            )
            yield at, CheckpointSaved(step, f"checkpoints/step-{step}", "schedule")
    ended = 6.5 + total * 0.52 + 2
    final: dict[str, float | None] = {"evaluation/loss": 0.2471, "rewards/margins": 1.83}
    yield ended, Finished(total, final, "adapter", "step-120, lowest validation loss", {"perplexity": 0.21})


def failed_cpu() -> Iterator[Timed]:
    """A run that fails on a loss that is not a number."""
    random.seed(3)
    yield 0.0, Queued("this machine")
    yield 0.2, Started("synthetic", 99, ["cpu"], 1)
    yield 2.0, Warned("2 of 640 answers are cut by max_length", "rows 18, 402", "raise data.max_length")
    yield 2.5, Phase("train", 0, 300, "steps")
    for step in range(1, 41):
        loss = 2.2 + 0.002 * math.exp(step / 6) + random.gauss(0, 0.05)
        yield 2.5 + step * 0.3, Step(step, step / 80, round(loss, 4), 0.05, round(loss * 3, 3), step * 900, 3000.0, 0.3)
        if step == 20:
            yield 2.5 + step * 0.3, CheckpointSaved(20, "checkpoints/step-20", "schedule")
    yield 15.0, Step(41, 0.51, float("nan"), 0.05, None, 41 * 900, 3000.0, 0.3)
    hint = "lower training.learning_rate (it is 0.05)"
    yield 15.2, Failed("The loss is not a number", "step 41, rows 321 to 328 of data/train.jsonl", hint, True)


def _step(step: int, total: int, seconds: float, speed: int) -> Step:
    warm_up = max(1, total // 33)
    rate = 2e-4 * (step / warm_up if step < warm_up else 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / total))
    pace = speed + random.gauss(0, 240)
    loss = _loss(step) + random.gauss(0, 0.055 * _loss(step))
    norm = 0.55 + 1.9 * math.exp(-step / 25) + abs(random.gauss(0, 0.13))
    tokens = int(step * seconds * speed)
    return Step(
        step, round(step / 310, 4), round(loss, 4), round(rate, 9), round(norm, 4), tokens, round(pace, 1), seconds
    )


def _loss(step: int) -> float:
    return 0.61 + 1.15 * math.exp(-step / 38) + 0.42 * math.exp(-step / 260)


def _gpu(index: int, step: int) -> DeviceMemory:
    reserved = int((37.2 + 0.4 * index + 0.5 * math.sin(step / 9)) * GIB)
    return DeviceMemory(
        uuid=f"GPU-synthetic-{index}",
        name="NVIDIA H100 80GB HBM3",
        job_reserved=reserved,
        job_peak=int((38.3 + 0.4 * index) * GIB),
        used=reserved + int(0.6 * GIB),
        total=int(79.6 * GIB),
        utilisation=round(96 + 2 * math.sin(step / 5 + index)),
        temperature_c=round(66 + 3 * index + 4 * (1 - math.exp(-step / 60))),
        power_w=round(608 + 30 * math.sin(step / 7 + index)),
        throttled=False,
        index=index,
    )


def _samples(step: int) -> Iterator[Sample]:
    right = '{"invoice": "8812", "total": 412.50}'
    base = "The invoice total depends on the items that are listed. Please look at the bottom of the page, where ..."
    early, late = '{"invoice": 8812, "sum": "412.50 EUR"', right
    yield Sample(step, "Total of invoice 8812?", base, early if step < 200 else late, right)
    yield Sample(
        step,
        "Who sent invoice 1204, and when is it due?",
        "Invoice 1204 was sent by the supplier. [bold]Due dates[/bold] are usually 30 days after its date.",
        '{"invoice": "1204", "sender": "Alder & Sons", "due": "2025-12-01"}',
        '{"invoice": "1204", "sender": "Alder & Sons", "due": "2025-12-02"}',
    )


def text_of(events: Iterator[Timed]) -> str:
    """A recording's lines."""
    return "".join(to_json_line(event, sequence, START + at) for sequence, (at, event) in enumerate(events))


RECORDINGS: dict[str, Callable[[], Iterator[Timed]]] = {
    "sft-two-gpus": sft_two_gpus,
    "dpo-cpu": dpo_cpu,
    "failed-cpu": failed_cpu,
}

if __name__ == "__main__":
    for recording, maker in RECORDINGS.items():
        path = HERE / f"{recording}.jsonl"
        path.write_text(text_of(maker()), encoding="utf-8")
        print(path)
