"""Every shipped recipe: it loads, its check finds nothing, it trains and resumes, and what it made works."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from rung.engine.core.yaml_text import read_yaml
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import Method, Recipe
from tests.helpers.method_runs import WORDS, chat_rows, curve, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_tiny_model

FOLDER = ROOT / "recipes"
RECIPES = sorted(file.stem for file in FOLDER.glob("*.yaml") if "method:" in file.read_text(encoding="utf-8"))
LETTERS = """def reward(completions):
    return [sum(letter.isascii() and letter.isalnum() for letter in text) / 8 for text in completions]
"""
REWARDS = "rewards=[{name: python, file: mine.py}, {name: length, most: 60, weight: 0.1}]"


def text_rows() -> list[dict[str, Any]]:
    return [{"text": "The tall ship left the grey harbour at dawn. " * 3}] * 8


def label_rows() -> list[dict[str, Any]]:
    answers = [(WORDS[n % 8].upper() if n % 2 else WORDS[n % 8], n % 2 == 0) for n in range(32)]
    return [{"prompt": f"Colour {n}?", "completion": text, "label": label} for n, (text, label) in enumerate(answers)]


def number_rows() -> list[dict[str, Any]]:
    return [{"prompt": f"How many in box {n}?", "reference": str(n % 4)} for n in range(24)]


@dataclass(frozen=True)
class Case:
    """What a recipe is tried on, what is changed for a tiny model, and the figure that must fall (or rise)."""

    rows: Callable[[], list[dict[str, Any]]] = chat_rows
    changes: tuple[str, ...] = ()
    rate: float = 1e-2
    figure: str = "evaluation/loss"
    rises: bool = False


CASES = {
    "cpt": Case(text_rows, figure="evaluation/perplexity"),
    "dpo": Case(pair_rows, figure="rewards/margins", rises=True),
    "orpo": Case(pair_rows),
    "kto": Case(label_rows),
    "reward": Case(pair_rows, figure="evaluation/margin", rises=True),
    "sft-full": Case(rate=2e-3),
    "grpo": Case(changes=("adapter=null", f"grpo.{REWARDS}", "grpo.max_completion_length=8", "max_steps=20"),
                 figure="reward", rises=True),
    "rloo": Case(changes=("adapter=null", f"rloo.{REWARDS}", "rloo.max_completion_length=8", "max_steps=20"),
                 figure="reward", rises=True),
    "distill": Case(number_rows, ("distill.teacher.model.name=teacher", "distill.teacher.max_new_tokens=8",
                                  "distill.filter={metric: numeric, least: 0.0}")),
    "constitution": Case(number_rows, ("constitution.temperature=1.5", "constitution.max_new_tokens=6",
                                       "constitution.judge=null", "constitution.review=false", "num_train_epochs=8"),
                         figure="rewards/margins", rises=True),
    "distill-logits": Case(number_rows, ("adapter=null", "distill.teacher.model.name=teacher",
                                         "distill.max_completion_length=8"), rate=5e-3, figure="loss"),
}  # fmt: skip


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # As wide as one block of 4-bit weights, for QLoRA.
    return make_tiny_model(tmp_path_factory.mktemp("model"), hidden_size=64)


@pytest.fixture(scope="module")
def teacher(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has learned to answer with a number and to stop."""
    root = tmp_path_factory.mktemp("teacher")
    write_rows(root, [{"prompt": row["prompt"], "completion": row["reference"]} for row in number_rows()])
    folder = new_run_folder(root, "sft")
    training = {"num_train_epochs": 12, "eval_steps": 100}
    sit(make_recipe("sft", model_folder, adapter=None, training=training), folder)
    return folder.path / "model"


def recipe_for(name: str, model: Path) -> Recipe:
    """The shipped recipe with what a tiny model and tiny data need changed."""
    case = CASES.get(name, Case())
    common = [
        f"model.name={model}", "data.max_length=128", f"learning_rate={case.rate}", "lr_scheduler_type=constant",
        "warmup_ratio=0.0", "samples.max_new_tokens=4",
    ]  # fmt: skip
    if case.figure not in ("reward", "loss"):
        common += ["per_device_train_batch_size=4", "num_train_epochs=2"]
    return load_recipe(FOLDER / f"{name}.yaml", [*common, *case.changes])


def project(root: Path, name: str, teacher: Path | None) -> Path:
    write_rows(root, CASES.get(name, Case()).rows())
    (root / "mine.py").write_text(LETTERS)
    shutil.copy(FOLDER / "principles.txt", root)
    if teacher is not None:
        (root / "teacher").symlink_to(teacher)
    return root


def test_there_is_a_recipe_for_every_method_that_there_is() -> None:
    from rung.engine.training.methods import METHODS

    shipped = {load_recipe(FOLDER / f"{name}.yaml").method for name in RECIPES}
    assert shipped == set(METHODS) <= set(get_args(Method))
    kinds = {recipe.adapter.kind for name in RECIPES if (recipe := load_recipe(FOLDER / f"{name}.yaml")).adapter}
    assert kinds == {"lora", "dora", "bottleneck"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_knob_has_a_comment(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0].startswith("# "), "says first what it is for"
    assert max(map(len, lines)) <= 118
    unsaid = [line for line in lines if "#" not in line and not line.rstrip().endswith(":")]
    assert unsaid == [f"method: {load_recipe(FOLDER / f'{name}.yaml').method}"]
    value, _ = read_yaml(FOLDER / f"{name}.yaml")
    assert value["data"]["train"] == "data/train.jsonl"


@pytest.mark.parametrize("name", RECIPES)
def test_the_check_finds_nothing_against_it(name: str, model_folder: Path, tmp_path: Path) -> None:
    from rung.engine.check.check_worker import _check_recipe

    root = project(tmp_path, name, model_folder if name.startswith("distill") else None)
    answer = _check_recipe({"recipe": recipe_for(name, model_folder).model_dump(), "root": str(root)})
    assert answer["problems"] == []
    assert answer["data"]["train"]["used"] >= 8


@pytest.mark.accept
@pytest.mark.parametrize("name", RECIPES)
def test_it_trains_resumes_and_its_result_works(
    name: str, model_folder: Path, teacher: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    case = CASES.get(name, Case())
    # Whoever learns from its own answers must have whole ones to begin with.
    recipe = recipe_for(name, teacher if name == "constitution" else model_folder)
    taught = teacher if name.startswith("distill") else None
    whole = new_run_folder(project(tmp_path / "whole", name, taught), recipe.method)
    sit(recipe, whole)
    assert RunReader(whole).catch_up().status == "finished"
    figures = values(whole, case.figure)
    third = max(1, len(figures) // 3)
    first, last = sum(figures[:third]) / third, sum(figures[-third:]) / third
    assert last > first if case.rises else last < first, figures

    broken = new_run_folder(project(tmp_path / "broken", name, taught), recipe.method)
    sit(recipe, broken, stop_at=2)
    assert RunReader(broken).catch_up().status == "stopped"
    sit(recipe, broken)
    assert curve(broken, "loss") == curve(whole, "loss")
    works(recipe, whole, cli)


def works(recipe: Recipe, run: RunFolder, cli: Callable[..., Any]) -> None:
    """The result answers in `rung compare`; that of a reward run gives scores."""
    if recipe.method == "reward":
        from rung.engine.training.rewards.model import load_reward_run

        row = pair_rows(1)[0]
        chats = [[{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[kind]}]
                 for kind in ("chosen", "rejected")]  # fmt: skip
        chosen, rejected = load_reward_run(run, run.path.parents[1], "cpu").score(chats)
        assert chosen > rejected
        return
    ran = cli("compare", run.path, "--prompt", "Colour 1?", "--max-new-tokens", "4", "--json")
    assert ran.code == 0, ran.err
    answers = json.loads(ran.out)
    assert [answer["candidate"] for answer in answers][0] == "base"
    assert len(answers) == 2
    assert answers[0]["fingerprint"] != answers[1]["fingerprint"]
