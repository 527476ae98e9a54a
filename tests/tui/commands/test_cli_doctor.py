"""rung doctor: interpreters asked from outside, and what it concludes."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.guide.doctor import disk, doctor, model_cache, this_terminal
from rung.engine.machine.interpreters import find_interpreters, lower_bounds, probe, probe_interpreters
from tests.conftest import Ran

Cli = Callable[..., Ran]


def fake_interpreter(path: Path, packages: dict[str, str], python: str = "3.12.1") -> Path:
    """An executable that answers the probe with these packages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = json.dumps({"python": python, "packages": packages})
    path.write_text(f"#!/bin/sh\necho some noise of a start-up file\necho '{answer}'\n")
    path.chmod(0o755)
    return path


STACK = {
    "torch": "2.11.0+cu128", "transformers": "5.17.0", "peft": "0.19.1", "trl": "1.12.0", "accelerate": "1.12.0",
    "datasets": "4.8.1", "safetensors": "0.8.0", "pydantic": "2.12.4", "pyyaml": "6.0.3", "numpy": "2.1.0",
    "psutil": "7.0.0",
}  # fmt: skip


def test_this_interpreter_can_train(tmp_path: Path) -> None:
    found = probe(sys.executable, "this one")
    assert found.error is None
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert {ability: found.can[ability] for ability in ("train", "qlora", "rag", "score")} == {
        "train": True, "qlora": True, "rag": True, "score": True,
    }  # fmt: skip


def test_an_environment_of_a_gpu_image_can_train_but_not_quantise(tmp_path: Path) -> None:
    found = probe(str(fake_interpreter(tmp_path / "python", STACK)), "conda")
    assert found.can["train"] is True
    assert found.can["qlora"] is False
    assert found.lacks["qlora"] == ["bitsandbytes"]


@pytest.mark.parametrize(
    ("packages", "python", "lacking"),
    [
        (STACK | {"transformers": "4.57.0"}, "3.12.1", "transformers 5.17 (has 4.57.0)"),
        ({name: version for name, version in STACK.items() if name != "trl"}, "3.12.1", "trl"),
        (STACK, "3.10.4", "python 3.11"),
    ],
)
def test_what_is_missing_or_too_old_is_named(
    packages: dict[str, str], python: str, lacking: str, tmp_path: Path
) -> None:
    found = probe(str(fake_interpreter(tmp_path / "python", packages, python)), "venv")
    assert found.can["train"] is False
    assert found.lacks["train"] == [lacking]


@pytest.mark.parametrize(
    ("body", "error"),
    [("echo 'no such library' >&2; exit 127", "no such library"), ("exit 0", "ended with code 0")],
)
def test_an_interpreter_that_cannot_answer_gives_its_error(body: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    found = probe(str(path), "venv")
    assert found.error == error
    assert found.can == {}


def test_a_folder_named_as_interpreter_is_an_error_too(tmp_path: Path) -> None:
    assert "denied" in (probe(str(tmp_path), "settings").error or "")


def test_environments_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CONDA_PREFIX", str(home / "miniconda3" / "envs" / "llm"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    conda = fake_interpreter(home / "miniconda3" / "envs" / "llm" / "bin" / "python", STACK)
    venv = fake_interpreter(project / ".venv" / "bin" / "python", {})
    listed = fake_interpreter(tmp_path / "elsewhere" / "bin" / "python", {})
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{tmp_path}/elsewhere\n{home}/miniconda3/envs/llm\n")
    found = dict(find_interpreters(project, ["", "/no/such/python"]))
    assert found[sys.executable] == "this one"
    assert found["/no/such/python"] == "settings"
    assert found[str(conda)] == "active conda"
    assert found[str(venv)] == "project venv"
    assert found[str(listed)] == "conda"


def test_the_interpreter_of_the_settings_decides_what_will_work(tmp_path: Path) -> None:
    bare = str(fake_interpreter(tmp_path / "bare" / "python", {}))
    report = doctor(tmp_path, [bare])
    training = next(finding for finding in report.findings if finding.what == "training")
    assert training.works is False
    assert "lacks torch" in training.why
    assert training.hint == f"--python {sys.executable} takes that one for a project (worker_python)"


def test_lower_bounds_come_from_the_package_itself() -> None:
    assert lower_bounds()["transformers"] == (5, 17)
    assert lower_bounds()["pytest"] == (8, 4)


def test_probing_several_keeps_their_order(tmp_path: Path) -> None:
    paths = [(str(fake_interpreter(tmp_path / str(number) / "python", {})), "venv") for number in range(6)]
    assert [found.path for found in probe_interpreters(paths, ask_torch=False)] == [path for path, _ in paths]


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (tmp_path / "hf" / "hub" / "models--org--name").mkdir(parents=True)
    cache = model_cache()
    assert cache.path == str(tmp_path / "hf" / "hub")
    assert cache.models == ["org/name"]
    assert cache.offline is True, "the tests run offline"


def test_room_is_told_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    told = disk("model cache", tmp_path / "not" / "yet")
    assert 0 < told.free <= told.total


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "16 million"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "none"),
        ({"TERM": "dumb"}, "none"),
    ],
)
def test_colours_as_the_environment_says(
    environment: dict[str, str], colours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert this_terminal().colours == colours


def test_the_command_prints_text_and_json(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = cli("doctor")
    assert text.code == 0
    assert f"  {sys.executable} (this one)" in text.out
    assert "yes  training: in" in text.out
    report = json.loads(cli("doctor", "--json").out)
    assert report["cores"] == len(os.sched_getaffinity(0))
    assert {finding["what"] for finding in report["findings"]} >= {"training", "QLoRA", "RAG", "scoring", "screens"}
