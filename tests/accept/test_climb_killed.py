"""rung climb, killed with SIGKILL at five random points and begun again: the scoreboard of a climb without a break."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import iterate_json_lines
from rung.engine.jobs.folder import list_runs
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import read_run
from rung.engine.ladder.launch import climb_folder
from rung.engine.recipe.load import build_recipe
from rung.engine.training.recommended_recipe import Recommended, write_recipe
from tests.helpers.ladder_project import make_model, make_project
from tests.helpers.program import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.accept, pytest.mark.timeout(3_600)]
KILLS = 5
PATIENCE_SECONDS = 1_200.0
# What a sitting measures anew each time, or names after the hour.
NOT_COMPARED = (
    "latency_s", "run", "seconds", "training_seconds", "break_even", "break_even_cost", "break_even_against",
)  # fmt: skip


def make(root: Path, model: Path) -> Path:
    make_project(root, model, counts=(12, 6, 10), budget={"validation_rows": 6})
    recipe = build_recipe(
        {
            "method": "sft",
            "model": {"name": str(model)},
            "data": {"train": "data/train.jsonl", "validation": "data/validation.jsonl", "max_length": 128},
            "training": {
                "learning_rate": 3e-2, "num_train_epochs": 3, "per_device_train_batch_size": 2, "save_steps": 4,
            },
            "samples": {"max_new_tokens": 2},
            "probe": {"source": None},
        },
        "the test's recipe",
    )  # fmt: skip
    write_recipe(root, Recommended(recipe, {}))
    return root


def start(root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", str(PROGRAM), "-C", str(root), "climb", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def climb(root: Path) -> dict[str, Any]:
    process = start(root)
    printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, (root / "evaluations" / "climb" / "worker.log").read_text()[-2000:]
    result: dict[str, Any] = json.loads(printed)
    return result


def events_so_far(root: Path) -> int:
    """Events of the climb and of the runs that it trained; how many tell of memory depends on the hour."""
    folders = [climb_folder(root), *list_runs(root)]
    events = (event for folder in folders for event in iterate_json_lines(folder.events))
    return sum(event.get("type") != "memory" for event in events)


def kill_all(root: Path) -> int:
    """SIGKILL for the climb's worker and for the training that it follows; how many there were."""
    killed = 0
    for folder in (climb_folder(root), *list_runs(root)):
        # A session that has the lock and waits for its turn has not said its process id yet: the last one is another's.
        said = [event for event in iterate_json_lines(folder.events) if event.get("type") in ("queued", "started")]
        if said and said[-1]["type"] == "started" and is_locked(folder.lock):
            with suppress(ProcessLookupError):  # It ended between the two looks.
                os.kill(int(said[-1]["pid"]), signal.SIGKILL)
                killed += 1
    return killed


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    rows = [{name: value for name, value in row.items() if name not in NOT_COMPARED} for row in result["scoreboard"]]
    verdict = {name: result["verdict"][name] for name in ("rung", "candidate", "reasons")}
    return {"scoreboard": rows, "pairs": result["pairs"], "verdict": verdict, "skipped": result["skipped"]}


def test_the_scoreboard_is_that_of_an_unbroken_climb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = make_model(tmp_path / "model")
    whole = climb(make(tmp_path / "whole", model))
    assert [row["rung"] for row in whole["scoreboard"]] == ["prompt", "rag", "tune"], whole["skipped"]

    root = make(tmp_path / "broken", model)
    total = events_so_far(tmp_path / "whole")
    points = sorted(random.Random(20_261_125).sample(range(3, total - 2), KILLS))
    killed = 0
    for point in points:
        process = start(root)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while events_so_far(root) < point and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        while not (hit := kill_all(root)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        killed += hit > 0
        process.communicate(timeout=PATIENCE_SECONDS)
    assert killed >= KILLS - 1, "the climb was still going on at these points"
    assert comparable(climb(root)) == comparable(whole)
    # A kill may leave the folder of a run that had not begun; the training itself is resumed, not begun anew.
    assert [read_run(run)[1] for run in list_runs(root)].count("finished") == 1
