"""A project and a run of version 0.1.0, recorded before its modules moved: listed, watched, judged, resumed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_tiny_model

RECORDED = ROOT / "tests" / "replays" / "project_0_1_0"
RUN = "20261128-072201-sft-3e31"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work on, as the current folder."""
    root = tmp_path / "project"
    shutil.copytree(RECORDED, root)
    (root / "runs" / RUN / "requests").mkdir(exist_ok=True)  # An empty folder is not kept by git.
    monkeypatch.chdir(root)
    return root


def test_its_runs_are_listed_and_watched(project: Path, cli: Callable[..., Ran]) -> None:
    (run,) = json.loads(cli("runs", "--json").out)
    assert (run["run"], run["state"], run["step"], run["steps"]) == (RUN, "stopped", 6, 24)
    shown = cli("watch", "last")
    assert "stopped" in shown.out and "step 6" in shown.out


def test_its_scoreboard_is_read_as_it_was_judged(project: Path, cli: Callable[..., Ran]) -> None:
    written = json.loads((project / "scoreboard.json").read_text())
    read = json.loads(cli("scoreboard", "--json").out)
    assert [row["candidate"] for row in read["scoreboard"]] == [row["candidate"] for row in written["scoreboard"]]
    assert read["verdict"]["rung"] == written["verdict"]["rung"] == "undecided"
    assert "zero-shot" in cli("scoreboard").out


@pytest.mark.slow
def test_its_stopped_run_is_resumed_on_the_same_curve(project: Path, cli: Callable[..., Ran]) -> None:
    make_tiny_model(project / "tiny", context=512)
    before = (project / "runs" / RUN / "events.jsonl").read_text()
    resumed = cli("resume", RUN)
    assert resumed.code == 0, resumed.out + resumed.err
    events = [json.loads(line) for line in (project / "runs" / RUN / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["type"] == "step"] == list(range(1, 25))
    assert events[: len(before.splitlines())] == [json.loads(line) for line in before.splitlines()]
    assert events[-1]["type"] == "finished"
    assert (project / "runs" / RUN / "adapter" / "adapter_config.json").exists()
