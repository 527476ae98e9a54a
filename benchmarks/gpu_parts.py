"""The parts of benchmarks/gpu.py, each run in a process of its own: `python benchmarks/gpu_parts.py NAME FOLDER`.

A part prints its rows as they come, one line of JSON after `ROW `; everything else on its output is noise.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_figures import (  # noqa: E402
    GIB,
    device_name,
    events_of,
    forget,
    last_event,
    losses,
    milliseconds,
    peak_flops,
    run_peak,
    steady,
    timed,
)
from gpu_runs import (  # noqa: E402
    RUNG,
    answer_by_generate,
    answer_by_rung,
    gathered,
    launch_check,
    run_workers,
    train_by_trl,
    train_here,
)
from gpu_shapes import SHAPES, make_model, recipe_value, skewed_lengths, write_chats, write_pairs  # noqa: E402

from rung.engine.recipe.load import build_recipe  # noqa: E402


@dataclass(frozen=True)
class Workplace:
    """Where a part works, and whether it is a trial run with toy sizes."""

    folder: Path
    tiny: bool

    def model(self, name: str) -> Path:
        """The folder of a shape's model, made once."""
        chosen = "tiny" if self.tiny else name
        return make_model(chosen, self.folder / "models" / chosen)

    def shape(self, name: str) -> Any:
        """The sizes behind a shape's name."""
        return SHAPES["tiny" if self.tiny else name]

    def project(self, name: str) -> Path:
        """A fresh folder for runs."""
        root = self.folder / f"{name}-{time.time_ns()}"
        root.mkdir(parents=True)
        return root


def emit(**row: Any) -> None:
    """Print one row of results."""
    print("ROW " + json.dumps(row), flush=True)


def machine(place: Workplace) -> None:
    """GPU, driver, libraries, attention back ends; the rate of a large matrix product and of small launches."""
    import importlib.util

    import torch

    from rung.engine.machine.devices import read_devices

    devices = [device.name for device in read_devices()]
    versions = {name: _version(name) for name in ("torch", "transformers", "peft", "trl", "bitsandbytes", "textual")}
    optional = ("flash_attn", "kernels", "liger_kernel", "vllm", "xformers", "deepspeed")
    emit(what="seen", nvml=devices, **versions, cuda=torch.version.cuda)
    emit(
        what="attention",
        installed=[name for name in optional if importlib.util.find_spec(name)],
        varlen=importlib.util.find_spec("torch.nn.attention.varlen") is not None,
        flash=bool(torch.backends.cuda.flash_sdp_enabled()),
        cudnn=bool(torch.backends.cuda.cudnn_sdp_enabled()),
    )
    device = device_name()
    size = 256 if place.tiny else 8192
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = timed(lambda: a @ b, 5 if place.tiny else 30)
    small = torch.zeros(8, device=device)
    launch = timed(lambda: small.add_(1), 50 if place.tiny else 5000)
    emit(what="rates", gemm_tflops=round(2 * size**3 / seconds / 1e12, 1), launch_us=round(launch * 1e6, 1))


def demo(place: Workplace) -> None:
    """`rung demo format` from end to end, by the real workers."""
    root = place.project("demo")
    command = [*RUNG, "demo", "format", str(root / "project"), "--headless", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    value = json.loads(done.stdout) if done.returncode == 0 else {}
    scores = {item["label"]: item["score"] for item in value.get("scoreboard", [])}
    emit(
        what="demo format",
        exit=done.returncode,
        verdict=value.get("verdict", {}).get("rung"),
        scores=scores,
        said=done.stderr[-300:] if done.returncode else "",
    )


def resume(place: Workplace) -> None:
    """One run unbroken; one stopped and one killed on the way, then resumed: the same curve."""
    root = place.project("resume")
    write_chats(root / "train.jsonl", skewed_lengths(96, 64, 0))
    write_chats(root / "val.jsonl", skewed_lengths(8, 64, 1))
    model = make_model("tiny", place.folder / "models" / "tiny")
    training = {"max_steps": 60, "per_device_train_batch_size": 4, "save_steps": 10, "learning_rate": 1e-3}
    value = recipe_value(model, root / "train.jsonl", root / "val.jsonl", 64, training=training)
    curves = {"unbroken": losses(run_workers(root, value))}
    for how in ("stopped", "killed"):
        folder = run_workers(root, value, break_off=how)
        there = len(losses(folder))
        subprocess.run([*RUNG, "resume", folder.id], cwd=root, capture_output=True, stdin=subprocess.DEVNULL)
        curves[how] = losses(folder)
        pairs = zip(curves["unbroken"], curves[how], strict=False)
        worst = max((abs(a - b) for a, b in pairs), default=None)
        emit(
            what=f"{how} at step {there}, resumed",
            steps=len(curves[how]),
            end=last_event(folder)["type"],
            largest_difference=worst,
            # The memory panel of the Run screen is drawn from these events.
            memory_of=[device["name"] for event in events_of(folder, "memory")[-1:] for device in event["devices"]],
        )


def methods(place: Workplace) -> None:
    """Every method for a few steps on a small model: that it trains here, and how long a step takes.

    All but the constitution's, which needs answers that end: random weights give none.
    """
    root = place.project("methods")
    write_chats(root / "chats.jsonl", skewed_lengths(48, 64, 0))
    write_pairs(root / "pairs.jsonl", 48, 24, 8)
    rows = [json.loads(line) for line in (root / "pairs.jsonl").read_text().splitlines()]
    labelled = [
        {"prompt": row["prompt"], "completion": row["chosen" if n % 2 else "rejected"], "label": bool(n % 2)}
        for n, row in enumerate(rows)
    ]
    (root / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    (root / "texts.jsonl").write_text("".join(json.dumps({"text": row["prompt"]}) + "\n" for row in rows))
    (root / "mine.py").write_text("def reward(completions):\n    return [text.count('1') for text in completions]\n")
    answering = {"num_generations": 4, "max_completion_length": 16, "rewards": [{"name": "python", "file": "mine.py"}]}
    teacher = {"model": {"name": str(make_model("tiny", place.folder / "models" / "tiny"))}}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "sft": ("chats", {}),
        "sft in full": ("chats", {"method": "sft", "adapter": None}),
        "sft dora": ("chats", {"method": "sft", "adapter": {"kind": "dora"}}),
        "sft bottleneck": ("chats", {"method": "sft", "adapter": {"kind": "bottleneck"}}),
        "sft qlora": ("chats", {"method": "sft", "model": {"quantization": "nf4"}}),
        "sft int8": ("chats", {"method": "sft", "model": {"quantization": "int8"}}),
        "cpt": ("texts", {}),
        "dpo": ("pairs", {}),
        "orpo": ("pairs", {}),
        "kto": ("labels", {}),
        "reward": ("pairs", {}),
        "grpo": ("chats", {"grpo": answering}),
        "rloo": ("chats", {"rloo": answering}),
        "distill": ("chats", {"distill": {"mode": "logits", "teacher": teacher, "filter": None}}),
    }
    for name, (data, changes) in cases.items():
        file = root / f"{data}.jsonl"
        training = {"max_steps": 6, "per_device_train_batch_size": 8}
        changes = {"method": name.partition(" ")[0], "training": training, **changes}
        folder, error = train_here(root, recipe_value(Path(teacher["model"]["name"]), file, file, 64, **changes))
        steps = events_of(folder, "step")
        emit(
            what=name,
            end=error or last_event(folder)["type"],
            said=str(last_event(folder).get("message") or "")[:200],
            step_ms=milliseconds(steps),
            losses=[round(step["loss"], 3) for step in (steps[:1] + steps[-1:]) if step["loss"] is not None],
        )


def forecast(place: Workplace, shapes: tuple[str, ...]) -> None:
    """The forecast beside the peak of a real step and evaluation on the longest rows."""
    lora, dora, bottleneck = ({"kind": kind} for kind in ("lora", "dora", "bottleneck"))
    quantized = {"quantization": "nf4"}
    small: list[tuple[dict[str, Any] | None, dict[str, str], int, int, bool]] = [
        (lora, {}, 2048, 4, False), (lora, {}, 2048, 4, True), (lora, {}, 512, 8, False), (lora, {}, 8192, 1, True),
        (lora, quantized, 2048, 4, False), (lora, quantized, 2048, 4, True), (dora, {}, 2048, 2, False),
        (bottleneck, {}, 2048, 4, False), (None, {}, 2048, 2, False), (None, {}, 512, 4, True),
    ]  # fmt: skip
    big = [
        (lora, quantized, 2048, 2, False), (lora, quantized, 2048, 4, True), (lora, {}, 512, 4, False),
        (lora, {}, 2048, 4, True), (dora, {}, 512, 2, False), (bottleneck, {}, 2048, 2, True),
        (lora, quantized, 8192, 1, True),
    ]  # fmt: skip
    cases = {"1b": small, "qwen": small[:1] + small[5:6], "8b": big}
    for shape in shapes:
        for adapter, model, length, rows, checkpointing in cases[shape]:
            length = length // 64 if place.tiny else length
            root = place.project("forecast")
            write_chats(root / "train.jsonl", [length] * 2 * rows)
            write_chats(root / "val.jsonl", [length] * rows, 1)
            training = {"per_device_train_batch_size": rows, "gradient_checkpointing": checkpointing}
            files = (root / "train.jsonl", root / "val.jsonl", length)
            value = recipe_value(place.model(shape), *files, adapter=adapter, model=model, training=training)
            kind = "full" if adapter is None else "QLoRA" if model else adapter["kind"]
            title = f"{shape} {kind} {rows} x {length}{' checkpointing' if checkpointing else ''}"
            try:
                emit(what=title, **launch_check(root, build_recipe(value, "the benchmark")))
            except Exception as error:  # noqa: BLE001  (the next case is to run whatever happens)
                emit(what=title, error=repr(error)[:300])
            forget()


def sft(place: Workplace, name: str, quantization: str = "none", rows: int = 8, longest: int = 2048) -> None:
    """LoRA SFT of skewed chats by Rung and by TRL, with its defaults and with its best options, in this process."""
    longest = 64 if place.tiny else longest
    root, steps = place.project("sft"), 4 if place.tiny else 14
    lengths = skewed_lengths(400, longest, 0)
    train = write_chats(root / "train.jsonl", lengths)
    validation = write_chats(root / "val.jsonl", skewed_lengths(8, longest, 1), 1)
    value = recipe_value(
        place.model(name), train, validation, longest, model={"quantization": quantization},
        training={"per_device_train_batch_size": rows, "max_steps": steps},
    )  # fmt: skip
    shape = place.shape(name)
    mean = sum(length * length for length in lengths) / sum(lengths)
    flops = shape.flops_a_token(mean, 2)

    def report(side: str, found: dict[str, Any]) -> None:
        rate, most = found.get("tokens_per_second"), peak_flops()
        shares = {} if rate is None or most is None else {"mfu": round(rate * flops / most, 3)}
        emit(what=f"{name} {'QLoRA' if quantization != 'none' else 'LoRA'} {rows} rows: {side}", **found, **shares)

    folder, error = train_here(root, value)
    report("Rung", {"error": error, **steady(events_of(folder, "step")), **run_peak(folder)})
    for side, options in {
        "TRL, its defaults": {},
        "TRL, no checkpointing": {"gradient_checkpointing": False},
        "TRL, packing, no checkpointing": {"packing": True, "gradient_checkpointing": False},
    }.items():
        forget()
        if quantization == "none":
            try:
                report(side, train_by_trl(value, options, root / "trl", steps))
            except Exception as failure:  # noqa: BLE001  (what TRL can't do here is a result)
                report(side, {"error": repr(failure)[:300]})


def preference(place: Workplace) -> None:
    """DPO on long shared prompts, and a step of GRPO."""
    root, longest = place.project("preference"), 64 if place.tiny else 1024
    write_pairs(root / "pairs.jsonl", 64, longest // 2, longest // 16)
    model = place.model("1b")
    training = {"per_device_train_batch_size": 4, "max_steps": 3 if place.tiny else 8}
    files = (root / "pairs.jsonl", root / "pairs.jsonl", longest)
    block = {
        "num_generations": 4,
        "max_completion_length": 8 if place.tiny else 64,
        "rewards": [{"name": "length", "most": 8}],
    }
    for method, changes in {"dpo": {}, "grpo": {"grpo": block, "training": {**training, "max_steps": 3}}}.items():
        forget()
        if method == "grpo":
            write_chats(root / "chats.jsonl", [longest // 2] * 32)
            files = (root / "chats.jsonl", root / "chats.jsonl", longest)
        folder, error = train_here(
            root, recipe_value(model, *files, **{"method": method, "training": training, **changes})
        )
        steps = events_of(folder, "step")
        emit(what=f"1b {method}: Rung", error=error, **steady(steps), **run_peak(folder))


def memory(place: Workplace) -> None:
    """A batch that doesn't fit, in training and in answering: both go on with smaller ones."""
    import torch

    model, longest = place.model("1b"), 64 if place.tiny else 2048
    root = place.project("memory")
    write_chats(root / "train.jsonl", [longest] * 32)
    training = {"per_device_train_batch_size": 8, "max_steps": 3}
    files = (root / "train.jsonl", root / "train.jsonl", longest)
    held = []
    if torch.cuda.is_available():
        # Of the memory about 24 GiB are left: too little for eight rows of the longest, enough for two.
        free = torch.cuda.mem_get_info()[0]
        held.append(torch.empty(max(0, free - 24 * GIB), dtype=torch.uint8, device="cuda"))
    folder = run_workers(root, recipe_value(model, *files, training=training))
    recovered = [event["new"] for event in events_of(folder, "recovered")]
    emit(
        what="training",
        end=last_event(folder)["type"],
        recovered=recovered,
        said=str(last_event(folder).get("message"))[:200],
    )
    found = answer_by_rung(place.folder, model, 8 if place.tiny else 512, longest, 4)
    emit(what="answering", **found)


def evaluation(place: Workplace) -> None:
    """Few-shot prompts answered in Rung's batches, and by `generate` in batches of 8."""
    model, count = place.model("1b"), 16 if place.tiny else 512
    shared, own, answer = (16, 8, 4) if place.tiny else (400, 60, 64)
    ours = answer_by_rung(place.folder, model, count, own, answer, shared)
    emit(what=f"1b, {count} prompts of {shared + own} tokens: Rung", **ours)
    emit(
        what="1b, `generate` in batches of 8",
        **answer_by_generate(model, 16 if place.tiny else 32, own, answer, shared),
    )


def profile(place: Workplace) -> None:
    """Where a step of LoRA SFT goes: time on the device by kind of kernel, beside the whole step."""
    import torch

    name, longest = "1b", 64 if place.tiny else 2048
    root = place.project("profile")
    write_chats(root / "train.jsonl", skewed_lengths(200, longest, 0))
    write_chats(root / "val.jsonl", skewed_lengths(8, longest, 1))
    files = (root / "train.jsonl", root / "val.jsonl", longest)
    recipe = build_recipe(recipe_value(place.model(name), *files), "the benchmark")
    _, trainer, _ = gathered(root, recipe)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    trainer.args.max_steps = 4
    trainer.train()
    trainer.args.max_steps = 3
    with torch.profiler.profile(activities=activities) as seen:
        began = time.perf_counter()
        trainer.train()
        whole = time.perf_counter() - began
    rows = []
    for item in seen.key_averages():
        device = getattr(item, "self_device_time_total", 0) or 0
        rows.append((device, item.self_cpu_time_total, item.count, item.key[:90]))
    on_device = sum(row[0] for row in rows) / 1e6
    launches = sum(row[2] for row in rows if "LaunchKernel" in row[3])
    emit(what="three steps", seconds=round(whole, 3), device_seconds=round(on_device, 3), launches=launches)
    for device, cpu, calls, key in sorted(rows, reverse=True)[:14]:
        emit(what=f"device: {key}", device_ms=round(device / 1e3, 1), cpu_ms=round(cpu / 1e3, 1), calls=calls)
    for device, cpu, calls, key in sorted(rows, key=lambda row: -row[1])[:10]:
        emit(what=f"cpu: {key}", device_ms=round(device / 1e3, 1), cpu_ms=round(cpu / 1e3, 1), calls=calls)


PARTS: dict[str, Callable[[Workplace], None]] = {
    "machine": machine,
    "demo": demo,
    "resume": resume,
    "methods": methods,
    "forecast-small": lambda place: forecast(place, ("1b", "qwen")),
    "forecast-big": lambda place: forecast(place, ("8b",)),
    "sft-small": lambda place: sft(place, "1b"),
    "sft-big": lambda place: sft(place, "8b", rows=2),
    "qlora-big": lambda place: sft(place, "8b", "nf4", rows=4),
    "evaluation": evaluation,
    "profile": profile,
    "memory": memory,
    "preference": preference,
    "models": lambda place: [place.model(name) for name in ("tiny", "1b", "qwen", "8b")] and None,
}


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _use_own_state(folder: Path) -> None:
    """Slots of this part's own, so that parts which run at once don't wait for each other."""
    os.environ["XDG_STATE_HOME"] = os.environ["XDG_CONFIG_HOME"] = str(folder / f"state-{os.getpid()}")


if __name__ == "__main__":
    chosen, work = sys.argv[1], Path(sys.argv[2])
    _use_own_state(work)
    PARTS[chosen](Workplace(work, "--tiny" in sys.argv[3:]))
