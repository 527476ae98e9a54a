"""The commands in the order a person uses them, on a real model and real data, each as a process of its own."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.program import RUNG

pytestmark = [pytest.mark.slow, pytest.mark.accept]


def rung(*arguments: str | Path, cwd: Path, code: int = 0) -> tuple[str, str]:
    """Run one command to its end; give stdout and stderr."""
    command = [*RUNG, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def as_json(*arguments: str | Path, cwd: Path, code: int = 0) -> Any:
    return json.loads(rung(*arguments, "--json", cwd=cwd, code=code)[0])


@pytest.fixture(scope="module")
def project(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rung new` on a model without a chat template, and alpaca rows."""
    root = tmp_path_factory.mktemp("real") / "project"
    rows = reference_data / "raschka-instruct-1100" / "instruction-data.json"
    _, notes = rung("new", root, "--model", reference_data / "stories260K", "--train", rows, cwd=root.parent)
    assert "no chat template: chat_template is set to plain" in notes
    return root


def test_check_reads_every_row_and_finds_nothing_against_a_launch(project: Path) -> None:
    report = as_json("check", "recipes/sft.yaml", cwd=project)
    assert report["method"] == "sft"
    assert report["problems"] == []
    assert report["forecast"]["total_bytes"] == sum(report["forecast"]["memory_bytes"].values()) > 0
    data = as_json("check", "data/train.jsonl", cwd=project)
    assert data["shape"] == "alpaca"
    assert data["used"] == data["rows"] == 770, "seven tenths; the rest is held out"
    assert data["problems"] == []


def test_ctrl_c_resume_and_compare_on_one_curve(project: Path) -> None:
    settings = ["--set", "max_steps=60", "--set", "eval_steps=20", "--set", "probe.source=null"]
    command = [*RUNG, "run", "recipes/sft.yaml", "--json", *settings]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None and started.stderr is not None
        for line in started.stderr:
            if line.startswith("step"):
                os.kill(started.pid, signal.SIGINT)
                break
        started.stderr.read()
        stopped = json.loads(started.stdout.read())
        assert started.wait() == 130
    assert stopped["state"] == "stopped"

    resumed = as_json("resume", stopped["run"], cwd=project)
    assert resumed["state"] == "finished"
    assert resumed["metrics"]["loss"] < resumed["metrics"]["loss_before"] - 0.3, "the held-out loss falls"
    assert Path(resumed["artifact"]).is_dir()

    events = [json.loads(line) for line in rung("watch", stopped["run"], "--json", cwd=project)[0].splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    types = [event["type"] for event in events]
    # A second one tells whom the session waits for: the one before may still be leaving its device.
    assert "queued" in types[: types.index("started")] and "queued" in types[types.index("stopped") :]
    assert types.index("stopped") < types.index("resumed") < types.index("finished")
    sittings = types.index("resumed")
    first = [event["step"] for event in events[:sittings] if event["type"] == "step"]
    second = [event["step"] for event in events[sittings:] if event["type"] == "step"]
    assert first + second == list(range(1, 61))

    listed = as_json("runs", cwd=project)
    assert [(row["state"], row["step"], row["steps"]) for row in listed] == [("finished", 60, 60)]

    rows = as_json("compare", "last", "--prompt", "Name a colour.", "--max-new-tokens", "12", cwd=project)
    base, tuned = rows
    assert base["candidate"] == "base"
    assert stopped["run"].endswith(tuned["candidate"])
    assert base["fingerprint"] != tuned["fingerprint"]
    assert all(0 < row["tokens"] <= 12 and row["seconds"] > 0 for row in rows)


def test_a_replay_on_the_way_out_is_what_watch_printed(project: Path) -> None:
    (run,) = as_json("runs", cwd=project)
    watched, _ = rung("watch", run["run"], cwd=project)
    replayed, _ = rung("watch", "--replay", Path(run["path"]) / "events.jsonl", cwd=project)
    assert watched == replayed
    assert watched.splitlines()[-1].startswith("finished")
