"""Each method's own live curves: written with every step, and offered first by the Run screen's list of figures."""

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.training.methods import METHODS
from rung.engine.training.methods.dpo import LOSSES
from rung.tui.run.curves import FIRST, metric_names
from rung.tui.watch.watched_run import WatchedRun
from tests.helpers.method_runs import WORDS, chat_rows, make_recipe, pair_rows, sit, write_rows
from tests.helpers.tiny import make_tiny_model

SHORT = {"max_steps": 2, "eval_steps": 2}
REWARDS = [{"name": "length", "most": 4, "unit": "characters"}, {"name": "exact", "weight": 0.5}]
ANSWERING = {"num_generations": 2, "max_completion_length": 4, "beta": 0.05, "rewards": REWARDS}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def label_rows() -> list[dict[str, Any]]:
    return [{"prompt": f"Colour {n}?", "completion": WORDS[n % 8], "label": n % 2 == 0} for n in range(16)]


def text_rows() -> list[dict[str, Any]]:
    return [{"text": "The tall ship left the grey harbour at dawn."}] * 12


Rows = Callable[[], list[dict[str, Any]]]
CASES: dict[str, tuple[Rows, dict[str, Any]]] = {
    "sft": (chat_rows, {}),
    "cpt": (text_rows, {}),
    "dpo": (pair_rows, {}),
    "kto": (label_rows, {}),
    "orpo": (pair_rows, {}),
    "reward": (pair_rows, {}),
    "grpo": (chat_rows, ANSWERING),
    "rloo": (chat_rows, ANSWERING),
    "distill": (chat_rows, {"mode": "logits", "metric": "exact_match", "max_completion_length": 4}),
}


def screen_of(folder: RunFolder, method: str) -> WatchedRun:
    run = WatchedRun(folder.id, folder, {"method": method})
    run.fold(read_json_lines(folder.events))
    return run


def steps_of(folder: RunFolder) -> list[dict[str, Any]]:
    return [event for event in read_json_lines(folder.events) if event["type"] == "step"]


def test_no_method_is_left_out() -> None:
    """AI feedback has figures of its own before it trains as DPO does: test_methods_constitution.py."""
    assert {*CASES, "constitution"} == set(METHODS)
    assert all(method.curves for method in METHODS.values())


@pytest.mark.parametrize("method", CASES)
def test_its_curves_come_with_every_step_and_are_offered_first(method: str, model_folder: Path, tmp_path: Path) -> None:
    rows, block = CASES[method]
    if method == "distill":
        block = {**block, "teacher": {"model": {"name": str(model_folder)}}}
    folder = new_run_folder(write_rows(tmp_path, rows()), method)
    sit(make_recipe(method, model_folder, training=SHORT, **{method: block}), folder)
    wanted = METHODS[method].curves
    # A batch of good answers alone has no rejected ones.
    whole = [event["metrics"] for event in steps_of(folder)] if method != "kto" else [merged(folder)]
    for metrics in whole:
        for name in (name for name in wanted if not name.startswith("evaluation/")):
            matching = [value for given, value in metrics.items() if fnmatchcase(given, name)]
            assert matching and all(value is not None and math.isfinite(value) for value in matching), name
    offered = metric_names(screen_of(folder, method))
    own = offered[len([name for name in FIRST if name in offered]) :]
    places = [next(at for at, name in enumerate(own) if fnmatchcase(name, pattern)) for pattern in wanted]
    assert places == sorted(places) and places[-1] <= len(wanted), own
    if method in ("grpo", "rloo"):
        assert own[1:3] == ["rewards/exact/mean", "rewards/length/mean"], "each reward has a curve"


def merged(folder: RunFolder) -> dict[str, Any]:
    return {name: value for event in steps_of(folder) for name, value in event["metrics"].items()}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_dpo_has_the_same_curves(loss: str, model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, pair_rows(8)), "dpo")
    # The robust loss and EXO's need noisy labels to be of their own kind.
    block = {"loss_type": [loss], "label_smoothing": 0.1 if loss in ("robust", "exo_pair") else 0.0}
    sit(make_recipe("dpo", model_folder, dpo=block, training={"max_steps": 1, "eval_steps": 1}), folder)
    (step,) = steps_of(folder)
    assert step["loss"] is not None
    assert {name: step["metrics"].get(name) is not None for name in METHODS["dpo"].curves} == dict.fromkeys(
        METHODS["dpo"].curves, True
    )
