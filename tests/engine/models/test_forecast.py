"""The memory forecast: its parts by hand, a 70B model that is nowhere, and beside the peak of real runs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.machine.allocator import find_tcmalloc
from rung.engine.models.forecast import NF4_BYTES, ModelShape, forecast_memory, shape_of_config
from rung.engine.recipe.load import dump_recipe
from tests.helpers.method_runs import make_recipe, write_rows
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_byte_tokenizer

GB = 10**9
SMALL = ModelShape(
    parameters=1000,
    linear=(("model.layers.0.mlp.up_proj.weight", 10, 20), ("model.layers.0.mlp.down_proj.weight", 20, 10)),
    hidden_size=10, intermediate_size=20, num_layers=1, key_value_width=10, vocab_size=50, query_width=10,
)  # fmt: skip


def parts(longest: int = 8, dtype: str = "float32", on_gpu: bool = False, **changes: Any) -> dict[str, int]:
    training = {"per_device_train_batch_size": 2}
    recipe = make_recipe("sft", "pocket", training=training, **changes)
    return forecast_memory(SMALL, recipe, longest, dtype, on_gpu)


def test_weights_adapter_and_moments_by_hand() -> None:
    lora = parts(adapter={"r": 4})
    trained = 4 * (10 + 20) + 4 * (20 + 10)
    assert (lora["weights"], lora["adapter"]) == (4000, 4 * trained)
    assert (lora["gradients"], lora["optimizer"]) == (4 * trained, 8 * trained)
    # Trained in full: float32 weights and moments; the linear layers' stand in bfloat16 beside them.
    full = parts(adapter=None, dtype="bfloat16")
    assert (full["weights"], full["optimizer"]) == (4000 + 400 * 2, 8000)
    half = parts(adapter=None, dtype="bfloat16", model={"dtype": "bfloat16"})
    assert (half["weights"], half["optimizer"]) == (2000, 4000)
    four_bit = parts(model={"quantization": "nf4"})
    assert four_bit["weights"] == round(600 * 4 + 400 * NF4_BYTES)


def test_longer_rows_take_more_up_to_max_length_and_recomputed_ones_less() -> None:
    assert parts(longest=64)["activations"] > 7 * parts(longest=8)["activations"]
    assert parts(longest=500) == parts(longest=128)
    assert (
        parts(longest=64, adapter=None)["activations"] > parts(longest=64, adapter={"lora_dropout": 0.0})["activations"]
    )
    dropped, plain = parts(adapter={"lora_dropout": 0.1}), parts(adapter={"lora_dropout": 0.0})
    assert dropped["activations"] > plain["activations"]
    assert parts(adapter=None)["activations"] > plain["activations"]
    assert parts(adapter={"lora_dropout": 0.1}, on_gpu=True)["activations"] < dropped["activations"]


def test_gradients_take_the_place_of_activations_unless_batches_are_summed_up() -> None:
    recipe = make_recipe("sft", "pocket", adapter=None, training={"gradient_accumulation_steps": 4})
    assert forecast_memory(SMALL, recipe, 8, "float32")["gradients"] == 4000
    once = parts(adapter=None)
    assert once["gradients"] == max(0, 4000 - once["activations"] - once["logits"])


def test_a_pair_is_two_rows_and_a_reward_model_has_no_logits() -> None:
    one = forecast_memory(SMALL, make_recipe("sft", "pocket"), 8, "float32")
    two = forecast_memory(SMALL, make_recipe("dpo", "pocket"), 8, "float32")
    assert two["activations"] == 2 * one["activations"]
    assert forecast_memory(SMALL, make_recipe("reward", "pocket"), 8, "float32")["logits"] == 0
    reference = forecast_memory(SMALL, make_recipe("dpo", "pocket", adapter=None), 8, "float32")["reference"]
    assert reference == 4000


def test_a_heap_that_finds_its_blocks_again_takes_less() -> None:
    recipe = make_recipe("sft", "pocket", training={"per_device_train_batch_size": 64})
    heaps = {heap: forecast_memory(SMALL, recipe, 128, "float32", heap=heap) for heap in ("glibc", "tcmalloc")}
    others = [{name: size for name, size in parts.items() if name != "allocator"} for parts in heaps.values()]
    assert others[0] == others[1]
    kept = heaps["glibc"]["activations"] + heaps["glibc"]["logits"]
    assert heaps["tcmalloc"]["allocator"] == round((60 << 20) + 0.09 * kept)
    outputs = 4 * 64 * 128 * (20 + 10)
    assert heaps["glibc"]["allocator"] == round((40 << 20) + 0.24 * kept + 1.05 * outputs)
    assert forecast_memory(SMALL, recipe, 128, "float32", on_gpu=True)["allocator"] == 0


def test_targets_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(EngineError, match="No layer of the model fits q_proj") as caught:
        parts(adapter={"target_modules": ["q_proj"]})
    assert "down_proj, up_proj" in caught.value.details


def test_qlora_of_70_billion_weights_is_forecast_without_any() -> None:
    """Llama-3.1-70B's configuration on the meta device; QLoRA's paper trains 65B in 48 GB with short rows."""
    from transformers import AutoConfig

    config = AutoConfig.for_model(
        "llama", vocab_size=128256, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80,
        num_attention_heads=64, num_key_value_heads=8, tie_word_embeddings=False,
    )  # fmt: skip
    shape = shape_of_config(config)
    assert shape.parameters == 70_553_706_496
    training = {"per_device_train_batch_size": 1, "gradient_checkpointing": True}
    recipe = make_recipe(
        "sft", "pocket", model={"quantization": "nf4"}, adapter={"r": 16}, data={"max_length": 1024}, training=training
    )
    found = forecast_memory(shape, recipe, 1024, "bfloat16", on_gpu=True)
    # 68.5 billion weights in NF4, and the embeddings and the head, which stay in bfloat16.
    assert found["weights"] == pytest.approx(68.45e9 * 0.516 + 2.10e9 * 2, rel=0.01)
    assert found["adapter"] == 207_093_760 * 4 and found["optimizer"] == 2 * found["adapter"]
    assert 40 * GB < sum(found.values()) < 52 * GB
    plain = recipe.model_copy(update={"model": recipe.model.model_copy(update={"quantization": "none"})})
    assert sum(forecast_memory(shape, plain, 1024, "bfloat16", on_gpu=True).values()) > 140 * GB


KINDS: dict[str, dict[str, Any]] = {
    "lora": {"adapter": {"kind": "lora"}},
    "qlora": {"adapter": {"kind": "lora"}, "model": {"quantization": "nf4"}},
    "bottleneck": {"adapter": {"kind": "bottleneck", "placement": "houlsby"}},
    "full": {"adapter": None},
}


@pytest.fixture(scope="module")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """97 million random weights: with rows of 500 tokens, three at once, about 2 GB of weights and activations."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("large")
    config = AutoConfig.for_model(
        "llama", vocab_size=8192, hidden_size=768, intermediate_size=2048, num_hidden_layers=14,
        num_attention_heads=12, num_key_value_heads=6, max_position_embeddings=512, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=1, eos_token_id=3,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_byte_tokenizer(context=512).save_pretrained(folder)
    return folder


# The C library's heap has holes, whose number differs by a tenth of the whole from run to run (docs/log.md).
WITHIN = {"tcmalloc": 0.1, "glibc": 0.2}


@pytest.mark.accept
@pytest.mark.parametrize("heap", WITHIN)
@pytest.mark.parametrize("kind", KINDS)
def test_the_forecast_holds_beside_the_measured_peak(kind: str, heap: str, large_model: Path, tmp_path: Path) -> None:
    tcmalloc = find_tcmalloc()
    if heap == "tcmalloc" and tcmalloc is None:
        pytest.skip("tcmalloc is not installed")
    rows = [{"prompt": f"Say {n}", "completion": "word " * 93} for n in range(9)]
    write_rows(tmp_path, rows)
    write_rows(tmp_path, rows[:3], "validation")
    data = {"validation": "data/validation.jsonl", "max_length": 512}
    training = {"max_steps": 2, "per_device_train_batch_size": 3, "eval_steps": 2}
    model = {"name": str(large_model)} | KINDS[kind].get("model", {})
    changes = KINDS[kind] | {"model": model, "data": data, "training": training, "samples": {"max_new_tokens": 1}}
    folder = new_run_folder(tmp_path, "sft")
    folder.recipe.write_text(dump_recipe(make_recipe("sft", large_model, **changes)))
    environment = worker_environment() | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "LD_PRELOAD": str(tcmalloc) if heap == "tcmalloc" else "",
    }
    done = subprocess.run(
        worker_command("train", str(folder.path)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    forecast = [event for event in read_json_lines(folder.events) if event["type"] == "forecast"][-1]
    assert forecast["parts"]["weights"] + forecast["parts"]["activations"] > 1.2 * GB
    assert forecast["measured"] == pytest.approx(forecast["bytes"], rel=WITHIN[heap]), json.dumps(forecast)


@pytest.mark.accept
def test_quantised_weights_load_without_the_full_ones_beside_them(large_model: Path) -> None:
    """The most that loading holds of its own (anonymous pages; the file's pages are the kernel's to drop)."""
    body = """
import sys, threading, torch
from pathlib import Path
from rung.engine.models.load import load_model
from rung.engine.recipe.schema import ModelSettings
import bitsandbytes, peft, transformers

def own() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

most, over = 0, threading.Event()
def watch() -> None:
    global most
    while not over.wait(0.002):
        most = max(most, own())

idle = own()
thread = threading.Thread(target=watch); thread.start()
model = load_model(ModelSettings(name=sys.argv[1], quantization=sys.argv[2]), Path("."), "cpu")
over.set(); thread.join()
print(most - idle, sum(p.numel() * p.element_size() for p in model.parameters()))
"""
    import sys

    environment = worker_environment() | {"PYTHONPATH": str(ROOT)}
    most = {}
    for quantization in ("nf4", "none"):
        command = [sys.executable, "-c", body, str(large_model), quantization]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        most[quantization], held = map(int, done.stdout.split()[-2:])
        assert held < (0.2 if quantization == "nf4" else 0.6) * GB
    full = (large_model / "model.safetensors").stat().st_size
    assert most["nf4"] < 0.6 * full


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small layers under a vocabulary of 150,000, as that of today's models: what it says of a text is large."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("wide")
    config = AutoConfig.for_model(
        "llama", vocab_size=150_000, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=1, eos_token_id=3,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_byte_tokenizer(context=512).save_pretrained(folder)
    return folder


@pytest.mark.accept
@pytest.mark.parametrize("rows_at_once", [1, 8])
def test_the_forecast_holds_with_the_probe_on(rows_at_once: int, wide_model: Path, tmp_path: Path) -> None:
    """The most that is measured is never much more than forecast, whatever reads: the training step or the probe."""
    write_rows(tmp_path, [{"prompt": f"Say {n}", "completion": "word " * 9} for n in range(40)])
    training = {"max_steps": 2, "per_device_train_batch_size": rows_at_once, "eval_steps": 2}
    changes = {"training": training, "samples": {"max_new_tokens": 4}, "probe": {"source": "builtin"}}
    folder = new_run_folder(tmp_path, "sft")
    folder.recipe.write_text(dump_recipe(make_recipe("sft", wide_model, **changes)))
    environment = worker_environment() | {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        worker_command("train", str(folder.path)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    forecast = [event for event in read_json_lines(folder.events) if event["type"] == "forecast"][-1]
    assert forecast["measured"] < 1.1 * forecast["bytes"], json.dumps(forecast)
    assert forecast["measured"] > 0.6 * forecast["bytes"], json.dumps(forecast)
