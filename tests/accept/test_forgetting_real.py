"""All weights of a real story teller tuned on real instructions: what it gains, what it forgets, what replay keeps."""

import json
import random
from pathlib import Path

import pytest

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.recipe.load import build_recipe
from tests.helpers.method_runs import sit, values, write_rows

VALIDATION = 100


def told_stories(model_folder: Path, count: int, temperature: float, seed: int) -> list[str]:
    """Stories that the model tells before it is trained."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ids = model.generate(
            torch.full((count, 1), tokenizer.bos_token_id), do_sample=True, temperature=temperature, top_k=0,
            max_new_tokens=150, pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
    return [" ".join(text.split()) for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]


def tuned(model_folder: Path, root: Path, replay: float) -> RunFolder:
    """Three epochs of full training; `replay` is the share of stories among the rows."""
    value = {
        "method": "sft",
        "model": {"name": str(model_folder), "chat_template": "plain"},
        "adapter": None,
        "data": {
            "train": "data/train.jsonl",
            "validation": "data/validation.jsonl",
            "max_length": 512,
            "replay": {"source": "data/stories.jsonl", "ratio": replay} if replay else {},
        },
        "training": {
            "learning_rate": 2e-3,
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "eval_steps": 1000,
        },
        "probe": {"source": "told.txt"},
        "samples": {"max_new_tokens": 8},
    }
    folder = new_run_folder(root, "sft")
    sit(build_recipe(value, "the test's recipe"), folder)
    return folder


@pytest.mark.accept
def test_full_training_gains_the_task_and_forgets_the_stories_and_replay_keeps_them(
    reference_data: Path, tmp_path: Path
) -> None:
    model = reference_data / "stories260K"
    file = reference_data / "raschka-instruct-1100" / "instruction-data.json"
    rows = json.loads(file.read_text(encoding="utf-8"))
    random.Random(0).shuffle(rows)
    write_rows(write_rows(tmp_path, rows[VALIDATION:]), rows[:VALIDATION], "validation")
    write_rows(tmp_path, [{"text": story} for story in told_stories(model, 60, 0.7, seed=1)], "stories")
    (tmp_path / "told.txt").write_text("\n\n".join(told_stories(model, 24, 0.5, seed=0)), encoding="utf-8")

    plain, replayed = (tuned(model, tmp_path, replay) for replay in (0.0, 0.05))
    for folder in (plain, replayed):
        before, *_, after = values(folder, "evaluation/loss")
        assert 4.3 < before < 5.3
        assert after <= 2.3
    before, *_, forgotten = values(plain, "probe/loss")
    *_, kept = values(replayed, "probe/loss")
    assert 0.6 < before < 0.85
    assert forgotten > 1.4
    assert kept < before + 0.6 * (forgotten - before)
    # The whole 95 % interval of one rise lies above that of the other.
    low, _ = rise_of_the_story_loss(plain)
    assert low > rise_of_the_story_loss(replayed)[1]


def rise_of_the_story_loss(folder: RunFolder) -> tuple[float, float]:
    """The 95 % interval of how much the run's probe rose."""
    finished = next(event for event in read_json_lines(folder.events) if event["type"] == "finished")
    low, high = finished["forgetting_intervals"]["loss"]
    return low, high
