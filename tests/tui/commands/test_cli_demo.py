"""rung demo without screens: making the project, following the climb, printing its result, going on with it."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import read_run
from tests.conftest import Ran
from tests.helpers.fake_worker import CLIMB_RESULT, fake_python
from tests.helpers.program import RUNG

Cli = Callable[..., Ran]


@pytest.fixture
def demo(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a demo project whose climbs are done by the fake worker."""
    from rung.engine.guide.demo import make_demo

    monkeypatch.chdir(tmp_path)

    def make(**how: int) -> Path:
        root = make_demo("format", tmp_path / "demo")
        settings = root / "rung.yaml"
        python = fake_python(tmp_path, **how)
        text, changed = re.subn(r"^worker_python: .*$", f"worker_python: {python}", settings.read_text(), flags=re.M)
        assert changed == 1
        settings.write_text(text)
        return root

    return make


def test_headless_prints_the_result_as_json(cli: Cli, demo: Callable[..., Path]) -> None:
    root = demo(steps=2)
    ran = cli("demo", "format", root, "--headless", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == CLIMB_RESULT
    assert "is a project already" in ran.err


def test_headless_prints_the_report_for_people(cli: Cli, demo: Callable[..., Path]) -> None:
    root = demo(steps=2)
    ran = cli("demo", root, "--headless")
    assert ran.code == 0
    assert ran.out.startswith("# the verdict of a climb\n")
    assert str(root / "evaluations" / "climb" / "report.md") in ran.out


def test_a_climb_that_fails_is_exit_code_1(cli: Cli, demo: Callable[..., Path]) -> None:
    ran = cli("demo", "format", demo(steps=5, fail_at=2), "--headless", "--json")
    assert ran.code == 1
    assert ran.out == ""
    assert "The disk is full" in ran.err
    assert "the same command goes on from here" in ran.err


def test_ctrl_c_stops_the_climb_and_the_same_command_goes_on(cli: Cli, demo: Callable[..., Path]) -> None:
    root = demo(steps=0)
    command = [*RUNG, "demo", "format", str(root), "--headless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            if line.startswith("step"):
                break
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == ""
        assert "the same command goes on from here" in process.stderr.read()
        assert process.wait() == 130
    state, status = read_run(RunFolder(root / "evaluations" / "climb"))
    assert status == "stopped"
    fake_python(root.parent, steps=state.step + 2)
    assert cli("demo", "format", root, "--headless", "--json").code == 0
