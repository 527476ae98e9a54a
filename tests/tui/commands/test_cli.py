"""The command line's frame: finding commands, help, bad usage, streams."""

import importlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.jobs.events import Sample
from rung.tui.cli import COMMANDS
from tests.conftest import Ran
from tests.helpers.program import ROOT, RUNG
from tests.helpers.recorded import FINISHED_RUN, write_events

Cli = Callable[..., Ran]


def test_help_names_every_command_under_its_heading(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.code == 0
    for name, command in COMMANDS.items():
        assert f"  {name:<11} {command.help}" in ran.out
        assert ran.out.index(f"{command.group}:") < ran.out.index(f"  {name:<11} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, cli: Cli) -> None:
    ran = cli(name, "--help")
    assert ran.code == 0
    assert f"usage: rung {name}" in ran.out
    assert COMMANDS[name].help in " ".join(ran.out.split())
    assert callable(importlib.import_module(f"rung.tui.commands.{COMMANDS[name].module}").run)


def test_every_command_file_is_in_the_table() -> None:
    with_run = {
        file.stem for file in (ROOT / "tui" / "commands").glob("*.py") if "\ndef add_arguments(" in file.read_text()
    }
    assert with_run == {command.module for command in COMMANDS.values()}


@pytest.mark.parametrize(("typed", "meant"), [("runz", "runs"), ("waatch", "watch"), ("docter", "doctor")])
def test_an_unknown_command_is_answered_with_the_nearest(typed: str, meant: str, cli: Cli) -> None:
    ran = cli(typed)
    assert ran.code == 2
    assert f"{typed!r} is not a command of rung" in ran.err
    assert meant in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("arguments", [["run"], ["watch", "--no-such"], ["--no-such"], ["-C"], ["stop"]])
def test_bad_usage_is_exit_code_2(arguments: list[str], cli: Cli) -> None:
    ran = cli(*arguments)
    assert ran.code == 2
    assert "usage: rung" in ran.err


def test_version_is_the_installed_one(cli: Cli) -> None:
    ran = cli("--version")
    assert ran.code == 0
    assert ran.out.startswith("rung 0.")


def test_c_works_in_another_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    ran = cli("-C", tmp_path, "runs")
    assert ran.code == 0
    assert str(tmp_path) in ran.out


def test_c_of_a_missing_folder_says_so(cli: Cli, tmp_path: Path) -> None:
    ran = cli("-C", tmp_path / "none", "runs")
    assert ran.code == 2
    assert "none can't be entered" in ran.err


def test_no_command_without_a_terminal_is_refused(cli: Cli) -> None:
    ran = cli()
    assert ran.code == 2
    assert "need a terminal" in ran.err


def test_screens_without_a_terminal_are_refused(cli: Cli, tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", FINISHED_RUN)
    ran = cli("watch", "--replay", events, "--screen")
    assert ran.code == 2
    assert "need a terminal" in ran.err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", FINISHED_RUN * 500)
    command = [*RUNG, "watch", "--json", "--replay", str(events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 128 + 13
    assert errors == b""


def test_ascii_streams_get_escapes_not_a_traceback(tmp_path: Path) -> None:
    spoken = (*FINISHED_RUN, Sample(4, "Où ?", "là", "ici"))
    events = write_events(tmp_path / "events.jsonl", spoken)
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*RUNG, "watch", "--replay", str(events)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "blue" in done.stdout
    as_json = subprocess.run(
        [*RUNG, "watch", "--json", "--replay", str(events)], env=environment, capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in as_json.stdout.splitlines()][-1]["prompt"] == "Où ?"


def test_a_users_own_engine_and_tui_are_never_imported(tmp_path: Path) -> None:
    for name in ("engine", "tui", "recipes"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    done = subprocess.run([*RUNG, "runs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no runs yet" in done.stdout


def test_people_are_told_that_worker_is_not_theirs(cli: Cli) -> None:
    ran = cli("worker")
    assert ran.code == 2
    assert "people use rung run" in ran.err
