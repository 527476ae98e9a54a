"""Runs for benchmarks/gpu.py: by Rung's workers, by Rung's own code in this process, and by others on the same rows."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_figures import device_name, events_of, forget, gib, peak, steady, wait_for_device

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.recipe.load import build_recipe, dump_recipe
from rung.engine.recipe.schema import Recipe

RUNG = [sys.executable, str(Path(__file__).resolve().parents[1] / "rung" / "__main__.py")]


def train_here(root: Path, value: dict[str, Any]) -> tuple[RunFolder, str | None]:
    """A whole run in this process, so that the libraries are loaded once; what it failed with."""
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.train import train

    forget()
    recipe = build_recipe(value, "the benchmark")
    folder = new_run_folder(root, recipe.method)
    folder.recipe.write_text(dump_recipe(recipe))
    folder.requests.mkdir(exist_ok=True)
    reporter = Reporter(folder.events)
    try:
        train(recipe, folder, root, reporter)
    except Exception as error:  # noqa: BLE001  (the next run is to come whatever happens)
        return folder, f"{type(error).__name__}: {error}"[:300]
    finally:
        reporter.close()
        forget()
    return folder, None


def gathered(root: Path, recipe: Recipe) -> tuple[Any, Any, Any]:
    """The job, the method's trainer over it as the worker builds it, and the run's forecast."""
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.footprint import Footprint
    from rung.engine.training.methods import method_module
    from rung.engine.training.methods.arguments import default_precision
    from rung.engine.training.model import hold_trained_in_float32
    from rung.engine.training.prepare import gather

    forget()
    folder = new_run_folder(root, recipe.method)
    folder.recipe.write_text(dump_recipe(recipe))
    footprint = Footprint()
    job = gather(recipe, folder, root, Reporter(folder.events))
    footprint.announce(job)
    trainer = method_module(recipe.method).build_trainer(job)
    hold_trained_in_float32(job.model, recipe, default_precision(job))
    return job, trainer, footprint


def launch_check(root: Path, recipe: Recipe) -> dict[str, Any]:
    """Forecast and peak of the launch check: a real training step and a real evaluation on the longest rows."""
    import torch

    from rung.engine.training.methods.rows import StepRows
    from rung.engine.training.preflight import run_preflight

    job, trainer, footprint = gathered(root, recipe)
    run_preflight(job, trainer, footprint, StepRows(trainer))
    last = read_json_lines(job.folder.events)[-1]
    forecast, peak = last["bytes"], last["measured"]
    allocated = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "forecast_gib": gib(forecast),
        "peak_gib": gib(peak),
        "allocated_gib": gib(allocated),
        "off": f"{100 * (forecast / peak - 1):+.1f} %" if peak else None,
        "parts_gib": {name: gib(size) for name, size in last["parts"].items() if size},
    }


def train_by_trl(value: dict[str, Any], options: dict[str, Any], folder: Path, steps: int) -> dict[str, Any]:
    """TRL by itself on the same rows."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    gpu = torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=str(folder), max_steps=steps, max_length=value["data"]["max_length"], logging_steps=1,
        per_device_train_batch_size=value["training"]["per_device_train_batch_size"], save_strategy="no",
        report_to="none", use_cpu=not gpu, bf16=gpu, disable_tqdm=True, assistant_only_loss=True,
        model_init_kwargs={"dtype": "bfloat16" if gpu else "float32"}, **options,
    )  # fmt: skip
    rows = load_dataset("json", data_files=value["data"]["train"], split="train", cache_dir=str(folder / "rows"))
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")
    marks: list[dict[str, Any]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait_for_device()
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait_for_device()
            marks.append({"seconds": time.perf_counter() - self.began, "tokens": 0})

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if marks and logs and "num_tokens" in logs:
                marks[-1]["tokens"] = int(logs["num_tokens"])

    trainer = SFTTrainer(
        model=value["model"]["name"], args=arguments, train_dataset=rows, peft_config=lora, callbacks=[Clock()]
    )
    trainer.train()
    return steady(marks) | peak()


def answer_by_rung(root: Path, model: Path, count: int, own: int, answer: int, shared: int = 0) -> dict[str, Any]:
    """Prompts answered by the scoreboard's own generation."""
    from rung.engine.generation.batch_sizes import plan_batches
    from rung.engine.generation.batched import Request
    from rung.engine.generation.client import Decoding
    from rung.engine.ladder.local_model import LocalModels
    from rung.engine.ladder.spec import CandidateSpec
    from rung.engine.recipe.schema import ModelSettings

    told: list[str] = []
    models = LocalModels(root, lambda event: told.append(event.type))
    opened = models.open(CandidateSpec(model=ModelSettings(name=str(model))))
    requests = [Request(ids, answer) for ids in few_shot_prompts(count, own, shared)]

    @dataclass(frozen=True)
    class Sized:
        request: Request

        @property
        def size(self) -> int:
            return len(self.request.ids) + self.request.max_new_tokens

    began, answers = time.perf_counter(), 0
    for batch in plan_batches([Sized(request) for request in requests]):  # type: ignore[arg-type]
        answers += len(opened.generate([item.request for item in batch], Decoding(answer, 0.0), ()))
    wait_for_device()
    seconds = time.perf_counter() - began
    models.unload()
    rate = round(answers / seconds, 2)
    return {"rows_per_second": rate, "answers": answers, "halved": told.count("recovered"), **peak()}


def answer_by_generate(model: Path, count: int, own: int, answer: int, shared: int) -> dict[str, Any]:
    """The same prompts by Transformers' `generate`, in batches of 8."""
    import torch
    from transformers import AutoModelForCausalLM

    forget()
    gpu = torch.cuda.is_available()
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16 if gpu else torch.float32).to(
        device_name()
    )
    prompts = few_shot_prompts(count, own, shared)
    began = time.perf_counter()
    for start in range(0, count, 8):
        batch = torch.tensor(prompts[start : start + 8], device=device_name())
        loaded.generate(batch, max_new_tokens=answer, do_sample=False, attention_mask=torch.ones_like(batch))
    wait_for_device()
    return {"rows_per_second": round(count / (time.perf_counter() - began), 2), "answers": count, **peak()}


def few_shot_prompts(count: int, own: int, shared: int) -> list[list[int]]:
    """Token ids that begin with `shared` common ones."""
    import random

    draw = random.Random(0)
    common = [draw.randrange(10, 900) for _ in range(shared)]
    return [common + [draw.randrange(10, 900) for _ in range(own)] for _ in range(count)]


def run_workers(root: Path, value: dict[str, Any], break_off: str | None = None) -> RunFolder:
    """A run by `rung run` in processes of its own; broken off after the first checkpoint where that is asked for."""
    (root / "recipe.yaml").write_text(json.dumps(value))  # JSON is YAML
    before = set((root / "runs").glob("*"))
    command = [*RUNG, "run", "recipe.yaml"]
    nothing = subprocess.DEVNULL
    run = subprocess.Popen(command, cwd=root, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)
    folder: RunFolder | None = None
    while run.poll() is None:
        time.sleep(0.1)
        fresh = set((root / "runs").glob("*")) - before
        folder = RunFolder(fresh.pop()) if fresh else None
        if break_off and folder and events_of(folder, "checkpoint_saved"):
            if break_off == "killed":
                os.kill(events_of(folder, "started")[-1]["pid"], signal.SIGKILL)
            else:
                subprocess.run([*RUNG, "stop", folder.id], cwd=root, capture_output=True)
            run.wait()
    said = run.stderr.read().decode(errors="replace") if run.stderr else ""
    if folder is None:
        raise RuntimeError(said[-500:])
    return folder
