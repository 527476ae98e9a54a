"""Runs of a tiny model as training leaves them, with adapters drawn at random instead of trained."""

import json
import shutil
from pathlib import Path
from typing import Any

from rung.engine.core.files import write_json_atomic, write_text_atomic
from rung.engine.jobs.events import Event, Finished, Probe, Started, Step
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.board_file import BOARD_FILE
from rung.engine.recipe.load import dump_recipe
from rung.engine.recipe.schema import Recipe
from tests.helpers.adapters_on_the_spot import make_adapter, make_bottleneck, make_full_tune
from tests.helpers.method_runs import chat_rows, make_recipe, write_rows
from tests.helpers.recorded import write_run
from tests.helpers.tiny import make_tiny_model

CHOSEN = "step 4: lowest validation loss, 1.2000"


def make_project(root: Path, **model: Any) -> Path:
    """A project with a tiny model in `model/` and training rows; gives its root."""
    write_rows(root, chat_rows(8))
    (root / "rung.yaml").write_text("name: tiny\n")
    make_tiny_model(root / "tiny", **model)
    return root


def put_run(root: Path, run: str, recipe: Recipe, *, forgot: float | None = 0.02) -> RunFolder:
    """A finished run of that recipe whose probe's loss rose by `forgot`; its result is still to be put there."""
    probes = [] if forgot is None else [Probe(step, "general", {"loss": 2.0 + forgot * step / 4}) for step in (0, 4)]
    changes: dict[str, float | None] = {} if forgot is None else {"loss": forgot, "kl": 0.01}
    artifact = "model" if recipe.adapter is None else "adapter"
    events: list[Event] = [
        Started("host", 1, ["cpu"], 1),
        Step(4, 1.0, 1.1, 1e-4, 0.5),
        *probes,
        Finished(4, {"loss": 1.2}, artifact, CHOSEN, changes),
    ]
    return write_run(root, run, events, dump_recipe(recipe))


def lora_run(root: Path, run: str, *, seed: int = 0, scale: float = 0.2, **options: Any) -> RunFolder:
    """A finished LoRA run; `options` go to LoraConfig, but for the recipe's `changes` (a dict) and `quantization`."""
    changes, quantization = options.pop("changes", {}), options.pop("quantization", "none")
    r = options.get("r", 4)
    kind = "dora" if options.get("use_dora") else "lora"
    adapter = {"kind": kind, "r": r, "lora_alpha": 2 * r}
    recipe = make_recipe("sft", "tiny", **{"adapter": adapter} | changes)
    model = recipe.model.model_copy(update={"quantization": quantization})
    folder = put_run(root, run, recipe.model_copy(update={"model": model}))
    options = {"r": r, "lora_alpha": 2 * r} | options
    make_adapter(root / "tiny", folder.path / "adapter", seed=seed, scale=scale, **options)
    return _with_tokenizer(root, folder)


def bottleneck_run(root: Path, run: str) -> RunFolder:
    """A finished run of a bottleneck adapter."""
    folder = put_run(root, run, make_recipe("sft", "tiny", adapter={"kind": "bottleneck", "r": 4}))
    make_bottleneck(root / "tiny", folder.path / "adapter")
    return _with_tokenizer(root, folder)


def reward_run(root: Path, run: str) -> RunFolder:
    """A finished run of a reward model: a LoRA and a head that gives one score."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    folder = put_run(root, run, make_recipe("reward", "tiny"), forgot=None)
    model = AutoModelForSequenceClassification.from_pretrained(root / "tiny", num_labels=1)
    wrapped = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", target_modules="all-linear", r=4))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2)
    wrapped.save_pretrained(folder.path / "adapter")
    return _with_tokenizer(root, folder)


def full_run(root: Path, run: str) -> RunFolder:
    """A finished run that tuned every weight."""
    folder = put_run(root, run, make_recipe("sft", "tiny", adapter=None))
    make_full_tune(root / "tiny", folder.path / "model")
    return folder


def put_score(root: Path, run: str, score: float) -> None:
    """A scoreboard with one row, of what that run trained."""
    row = {
        "candidate": "abcdef012345", "rung": "tune", "label": "tuned", "metric": "exact_match", "score": score,
        "low": score - 0.1, "high": score + 0.1, "n": 50, "chosen": True, "run": run, "forgetting": 0.02,
    }  # fmt: skip
    write_json_atomic(root / BOARD_FILE, {"scoreboard": [row], "pairs": [], "verdict": {}})


def light_run(
    root: Path, run: str, *, model: str = "pocket", start_from: str | None = None, **config: Any
) -> RunFolder:
    """A finished run without real weights or tokenizer, for what lists or copies it."""
    recipe = make_recipe("sft", model, adapter={"r": config.get("r", 16)}, start_from=start_from)
    folder = put_run(root, run, recipe)
    (folder.path / "adapter").mkdir()
    settings = {"peft_type": "LORA", "r": 16, "task_type": "CAUSAL_LM"} | config
    write_text_atomic(folder.path / "adapter" / "adapter_config.json", json.dumps(settings))
    (folder.path / "adapter" / "adapter_model.safetensors").write_bytes(b"\0" * 3 * 2**20)
    (folder.path / "adapter" / "tokenizer_config.json").write_text("{}")
    return folder


def _with_tokenizer(root: Path, folder: RunFolder) -> RunFolder:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(root / "tiny" / name, folder.path / "adapter" / name)
    return folder
