"""What tcmalloc is worth to training on the CPU, beside the C library's allocator: peak memory and CPU time of a step.

    python benchmarks/allocator.py [rounds]

LoRA and all weights of a Llama-shaped model of 28 million weights, 4 rows of 304 tokens a step, in whole workers that
take turns. A step is a run of eight steps more less the run without them; the peak is that of the longer one, above the
idle process.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.machine.allocator import PACKAGE, find_tcmalloc
from rung.engine.recipe.load import dump_recipe
from tests.helpers.method_runs import make_recipe, write_rows
from tests.helpers.tiny import make_byte_tokenizer

STEPS = 8
KINDS: dict[str, dict[str, Any]] = {"LoRA": {}, "full": {"adapter": None}}


def make_model(folder: Path) -> Path:
    """The model, with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "llama", vocab_size=8192, hidden_size=512, intermediate_size=1376, num_hidden_layers=8,
        num_attention_heads=8, max_position_embeddings=512, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=1, eos_token_id=3,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_byte_tokenizer(context=512).save_pretrained(folder)
    return folder


def run(root: Path, model: Path, kind: str, preload: str, steps: int) -> tuple[float, float]:
    """CPU seconds of one worker, and its peak in MB."""
    training = {"max_steps": steps, "per_device_train_batch_size": 4, "eval_steps": 1000, "save_steps": 1000}
    data = {"validation": "data/validation.jsonl", "max_length": 512}
    recipe = make_recipe("sft", model, data=data, training=training, samples={"max_new_tokens": 1}, **KINDS[kind])
    folder = new_run_folder(root, "sft")
    folder.recipe.write_text(dump_recipe(recipe))
    environment = worker_environment() | {"LD_PRELOAD": preload, "XDG_STATE_HOME": str(root / "state")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(worker_command("train", str(folder.path)), env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = [event for event in read_json_lines(folder.events) if event["type"] == "forecast"][-1]["measured"]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1e6


def main(rounds: int) -> None:
    """Print the table."""
    tcmalloc = find_tcmalloc()
    if tcmalloc is None:
        sys.exit(f"There is no tcmalloc here: apt install {PACKAGE}")
    heaps = {"C library": "", "tcmalloc": str(tcmalloc)}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = make_model(root / "model")
        rows = [{"prompt": f"Say {n}", "completion": "word " * 60} for n in range(64)]
        write_rows(write_rows(root, rows), rows[:3], "validation")
        for _ in range(rounds):
            for kind in KINDS:
                for heap, preload in heaps.items():
                    short, _ = run(root, model, kind, preload, 2)
                    long, peak = run(root, model, kind, preload, 2 + STEPS)
                    found.setdefault((kind, heap), []).append(((long - short) / STEPS, peak))
    print("| trained | allocator | peak, MB | CPU s a step |\n|---|---|---|---|")
    for (kind, heap), figures in found.items():
        seconds, peaks = zip(*figures, strict=True)
        print(f"| {kind} | {heap} | {statistics.median(peaks):,.0f} | {statistics.median(seconds):.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
