"""Commands about runs that are over, and about a worker that speaks the protocol without training."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.folder import list_runs
from rung.engine.jobs.reader import read_run
from rung.tui.settings.stored import Settings, save_settings
from tests.conftest import Ran
from tests.helpers.fake_worker import fake_python
from tests.helpers.program import RUNG
from tests.helpers.recorded import FINISHED_RUN, START_TIME, write_events, write_run

RUN = "20260102-030405-sft-ab12"
Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the current folder in it."""
    (tmp_path / "rung.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(project: Path) -> Callable[..., Path]:
    """Writes a recipe that the fake worker runs."""

    def write(**how: Any) -> Path:
        (project / "data.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
        path = project / "recipes" / "fake.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "method: sft\nname: a try\ntags: [one, two]\nmodel:\n  name: pocket\ndata:\n  train: data.jsonl\n"
            f"worker_python: {fake_python(project, **how)}\n"
        )
        return path

    return write


def test_runs_as_json_has_the_promised_fields(cli: Cli, project: Path) -> None:
    folder = write_run(project, RUN, FINISHED_RUN, "method: sft\nname: first\ntags: [a]\n")
    ran = cli("runs", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == [
        {
            "run": RUN, "path": str(folder.path), "state": "finished", "method": "sft", "step": 4, "steps": 4,
            "loss": 1.5, "started": START_TIME + 1, "outcome": None, "worse": None, "name": "first", "tags": ["a"],
        }
    ]  # fmt: skip


def test_runs_lists_the_crashed_and_the_damaged(cli: Cli, project: Path) -> None:
    write_run(project, RUN, FINISHED_RUN[:4])
    write_run(project, "20260102-030406-dpo-cd34", (), "tags: {not a recipe")
    ran = cli("runs")
    assert ran.code == 0
    first, second = ran.out.splitlines()[1:]
    assert first.split()[:4] == [RUN, "crashed", "sft", "1/4"]
    assert second.split()[:3] == ["20260102-030406-dpo-cd34", "crashed", "dpo"]


def test_watch_prints_a_finished_run_and_its_exit_code(cli: Cli, project: Path) -> None:
    write_run(project, RUN, FINISHED_RUN)
    ran = cli("watch", "last")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert "step             1/4  loss 2  lr 1.00e-04  grad 0.9  50 tok/s  mean_token_accuracy 0.25" in lines
    assert "evaluation       step 2  validation  loss 1.4  n 8" in lines
    assert "step             4/4  loss not finite  lr 5.00e-05  grad 0.7  50 tok/s" in lines
    assert lines[-1] == "finished         step 4  loss 1  n 8  adapter (step 4, lowest validation loss)"


def test_watch_obeys_no_escape_sequence_of_a_model(cli: Cli, project: Path) -> None:
    write_run(project, RUN, FINISHED_RUN)
    ran = cli("watch", RUN)
    assert "\x1b" not in ran.out
    assert "base “red”  current “blue”" in ran.out


def test_watch_of_a_crashed_run_ends_with_code_1(cli: Cli, project: Path) -> None:
    write_run(project, RUN, FINISHED_RUN[:4])
    ran = cli("watch", RUN[:11])
    assert ran.code == 1
    assert "crashed: the worker is gone" in ran.out
    ran = cli("watch", RUN[:11], "--json")
    assert ran.code == 1
    assert [json.loads(line)["type"] for line in ran.out.splitlines()] == [event.type for event in FINISHED_RUN[:4]]
    assert "crashed: the worker is gone" in ran.err


def test_replay_prints_what_watch_prints(cli: Cli, project: Path) -> None:
    folder = write_run(project, RUN, FINISHED_RUN)
    assert cli("watch", "--replay", folder.events).out == cli("watch", RUN).out


def test_replay_as_json_is_the_log_itself(cli: Cli, tmp_path: Path) -> None:
    events = write_events(tmp_path / "log.jsonl", FINISHED_RUN)
    with events.open("a") as log:
        log.write('{"v": 1, "seq": 11, "type": "foreign", "figure": NaN}\n{"v": 1, "seq": 12, "type": "torn')
    ran = cli("watch", "--replay", events, "--json")
    assert ran.code == 0
    *known, foreign = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["type"] for event in known] == [event.type for event in FINISHED_RUN]
    assert foreign["figure"] is None


def test_replay_of_a_missing_log_says_so(cli: Cli) -> None:
    ran = cli("watch", "--replay", "none.jsonl")
    assert ran.code == 2
    assert "There is no recording none.jsonl" in ran.err


def test_an_unknown_run_is_told_with_the_known(cli: Cli, project: Path) -> None:
    write_run(project, RUN, FINISHED_RUN)
    for command in ("watch", "stop", "cancel", "resume"):
        ran = cli(command, "nothing")
        assert ran.code == 2
        assert "'nothing'" in ran.err
        assert RUN in ran.err


@pytest.mark.parametrize("command", ["stop", "cancel"])
def test_a_run_that_is_over_cannot_be_asked(command: str, cli: Cli, project: Path) -> None:
    folder = write_run(project, RUN, FINISHED_RUN)
    ran = cli(command, RUN)
    assert ran.code == 2
    assert "has ended already: it is finished" in ran.err
    assert list(folder.requests.iterdir()) == []


def test_run_follows_to_the_end_and_gives_the_result(cli: Cli, project: Path, recipe: Callable[..., Path]) -> None:
    ran = cli("run", recipe(steps=3), "--json")
    (folder,) = list_runs(project)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == {
        "run": folder.id, "path": str(folder.path), "state": "finished", "metrics": {"loss": 2 / 3, "n": 8},
        "outcome": None, "worse": None, "artifact": str(folder.path / "adapter"),
    }  # fmt: skip
    assert "finished         step 3" in ran.err
    row = json.loads(cli("runs", "--json").out)[0]
    assert (row["name"], row["tags"]) == ("a try", ["one", "two"])


def test_the_interpreter_of_the_settings_runs_a_recipe_that_names_none(
    cli: Cli, project: Path, recipe: Callable[..., Path]
) -> None:
    path = recipe(steps=2)
    python = str(project / "fake-python")
    path.write_text(path.read_text().replace(f"worker_python: {python}", "worker_python: null"))
    save_settings(Settings(worker_python=python))
    ran = cli("run", path, "--json")
    assert json.loads(ran.out)["state"] == "finished"


def test_a_job_that_fails_is_exit_code_1(cli: Cli, recipe: Callable[..., Path]) -> None:
    ran = cli("run", recipe(steps=5, fail_at=3), "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["state"] == "failed"
    assert json.loads(ran.out)["artifact"] is None
    assert ran.err.count("The disk is full") == 1
    assert ran.err.count("free some space") == 1
    assert "rung resume" in ran.err


def test_a_bad_recipe_starts_nothing(cli: Cli, project: Path, recipe: Callable[..., Path]) -> None:
    ran = cli("run", recipe(steps=1), "--set", "learning_rat=1")
    assert ran.code == 2
    assert "learning_rate" in ran.err
    assert list_runs(project) == []


def test_detach_stop_and_resume(cli: Cli, project: Path, recipe: Callable[..., Path]) -> None:
    path = recipe(steps=0)
    ran = cli("run", path, "--detach", "--json")
    assert ran.code == 0
    started = json.loads(ran.out)
    assert started["state"] in ("queued", "running")
    assert cli("stop", started["run"], "--wait").out == f"{started['run']} stopped\n"
    (folder,) = list_runs(project)
    stopped, _ = read_run(folder)
    fake_python(project, steps=stopped.step + 5)
    again = cli("resume", "last", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["state"] == "finished"
    assert again.err.count("queued ") == 1, "only this sitting is told"
    assert f"resumed          from step {stopped.step}" in again.err
    state, status = read_run(folder)
    assert (status, state.step) == ("finished", stopped.step + 5)
    assert len(state.curves["loss"].steps) == state.step, "one curve without a break"


def test_cancel_ends_without_a_result(cli: Cli, recipe: Callable[..., Path]) -> None:
    cli("run", recipe(steps=0), "--detach")
    assert cli("cancel", "last", "--wait").code == 0
    assert json.loads(cli("runs", "--json").out)[0]["state"] == "cancelled"


def test_ctrl_c_in_a_pipe_saves_stops_and_gives_130(project: Path, recipe: Callable[..., Path]) -> None:
    path = recipe(steps=0)
    command = [*RUNG, "run", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            if line.startswith("step"):
                break
        os.kill(process.pid, signal.SIGINT)
        result, errors = json.loads(process.stdout.read()), process.stderr.read()
        assert process.wait() == 130
    assert result["state"] == "stopped"
    assert "asked it to save and stop" in errors
    assert "rung resume" in errors


def test_ctrl_c_while_watching_leaves_the_run_alone(cli: Cli, project: Path, recipe: Callable[..., Path]) -> None:
    cli("run", recipe(steps=0), "--detach")
    command = [*RUNG, "watch", "last"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate()
        assert process.returncode == 130
    assert "Traceback" not in errors
    assert json.loads(cli("runs", "--json").out)[0]["state"] == "running"
    assert cli("stop", "last", "--wait").code == 0
