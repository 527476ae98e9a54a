"""The set-up: what the package asks for, what make would do, what CI installs."""

import os
import shutil
import stat
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from rung.engine.jobs import events_page as events_doc
from tests.helpers.program import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRAIN = [Requirement(text) for text in PROJECT["optional-dependencies"]["train"]]
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def test_the_bare_install_brings_no_training_stack() -> None:
    bare = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert bare & {requirement.name for requirement in TRAIN} == set()
    assert not bare & {"pandas", "pyarrow", "huggingface-hub"}


@pytest.mark.parametrize(("package", "version"), [("torch", "2.11.0"), ("transformers", "5.17.0")])
def test_what_gpu_images_carry_is_admitted(package: str, version: str) -> None:
    (requirement,) = [requirement for requirement in TRAIN if requirement.name == package]
    assert requirement.specifier.contains(version)


def test_nothing_but_pytest_has_an_upper_bound() -> None:
    texts = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    bounded = {Requirement(text).name for text in texts if "<" in text or "==" in text}
    assert bounded == {"pytest"}, "pins belong in constraints/"


def test_the_lowest_versions_are_the_declared_bounds() -> None:
    lowest = pins("lowest.txt")
    for requirement in [*map(Requirement, PROJECT["dependencies"]), *TRAIN]:
        if requirement.name not in ("torch", "textual"):
            (bound,) = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
            assert Version(lowest[requirement.name]) == Version(bound), requirement.name


def pins(name: str) -> dict[str, str]:
    """Exact pins of a constraints file and of those it includes."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints" / name).read_text().splitlines():
        if line.startswith("-c "):
            found |= pins(line.removeprefix("-c "))
        elif line and not line.startswith("#"):
            package, version = line.split("==")
            found[package] = version
    return found


def test_constraints_pin_the_screens_everywhere_and_torch_without_a_driver() -> None:
    screens = {"textual": "8.2.8", "pytest-textual-snapshot": "1.1.0"}
    assert pins("gpu.txt") == screens
    assert pins("cpu.txt") == screens | {"torch": "2.13.0"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What make reads, in a folder of its own with an environment that is complete."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "constraints", tmp_path / "constraints")
    executable(tmp_path / ".venv" / "bin" / "python", "exit 0")
    for name in (".installed-train", ".installed-test"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


def executable(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def make(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run make without a terminal and as if it were not called by the make that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if name != "MFLAGS" and name[:4] != "MAKE"}
    if path is not None:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_second_run_does_no_install_work(target: str, checkout: Path) -> None:
    planned = make(checkout, "--dry-run", target)
    assert planned.returncode == 0, planned.stderr
    assert "pip install" not in planned.stdout


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints/ui.txt"])
def test_changed_requirements_are_installed(changed: str, checkout: Path) -> None:
    later = time.time() + 10
    os.utime(checkout / changed, (later, later))
    assert "-e '.[train,test]'" in make(checkout, "--dry-run", "test").stdout
    assert "-e '.[train]'" in make(checkout, "--dry-run", "demo").stdout


def test_the_tests_of_the_lowest_versions_are_there() -> None:
    named = (ROOT / "Makefile").read_text().split("LOWEST_TESTS ?= ")[1].split("\nSITE")[0].replace("\\\n", " ").split()
    assert len(named) >= 6 and all((ROOT / path).exists() for path in named), named


def test_the_lowest_versions_lie_over_the_environment_that_is_there(checkout: Path) -> None:
    """Only what is older is installed again: pip gets the pins alone, and torch is not among them."""
    planned = make(checkout, "--dry-run", "lowest").stdout
    assert "build/lowest/bin/python -m pip install" in planned and "-r constraints/lowest.txt" in planned
    assert "site.addsitedir(" in planned and planned.count("pip install") == 1
    assert not any(line.startswith("torch") for line in (ROOT / "constraints" / "lowest.txt").read_text().splitlines())
    tests = next(line for line in planned.splitlines() if "pytest" in line)
    assert "tests/engine/training/methods " in tests and "tests/engine/training/test_training.py" in tests
    (checkout / "build" / "lowest").mkdir(parents=True)
    (checkout / "build" / "lowest" / ".installed").touch()
    assert "pip install" not in make(checkout, "--dry-run", "lowest").stdout


def test_peft_is_as_new_as_transformers_asks() -> None:
    """Transformers 5.17 takes a frozen copy of an adapter for a reference only with PEFT 0.19.1."""
    lowest = pins("lowest.txt")
    assert Version(lowest["peft"]) >= Version("0.19.1")


@pytest.mark.skipif(NVIDIA_DRIVER, reason="this machine has an NVIDIA driver")
def test_without_a_driver_the_cpu_build_is_chosen(checkout: Path) -> None:
    (checkout / ".venv" / ".installed-train").unlink()
    assert "-c constraints/cpu.txt" in make(checkout, "--dry-run", "install").stdout


def test_with_a_driver_torch_is_left_to_the_index(checkout: Path) -> None:
    (checkout / ".venv" / ".installed-train").unlink()
    executable(checkout / "tools" / "nvidia-smi", "exit 0")
    assert "-c constraints/gpu.txt" in make(checkout, "--dry-run", "install", path=checkout / "tools").stdout


def test_an_old_python_is_refused_in_words(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    executable(checkout / "tools" / "python3", '[ "$1" = --version ] && echo Python 3.9.2 && exit 0; exit 1')
    done = make(checkout, "demo", path=checkout / "tools")
    assert done.returncode == 2
    assert "Rung needs Python 3.11 or newer; 'python3' is Python 3.9.2." in done.stderr
    assert "make PYTHON=python3.12 demo" in done.stderr
    assert not (checkout / ".venv").exists()


def test_no_terminal_means_a_headless_demo(checkout: Path) -> None:
    executable(checkout / ".venv" / "bin" / "rung", 'echo "rung $@"')
    done = make(checkout, "demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "rung demo format demo --headless\n"


@pytest.fixture
def ci(tmp_path: Path) -> Path:
    """A checkout of .ci/run alone, with tools that write down how they were called."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    for name in ("bash", "dirname", "env"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    executable(tmp_path / "bin" / "find", "echo found")
    executable(tmp_path / "bin" / "id", "echo 0")
    for name in ("apt-get", "make"):
        executable(tmp_path / "bin" / name, f'echo "{name} $*"')
    return tmp_path


def run_ci(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder / "bin")}
    return subprocess.run([folder / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)


def test_ci_installs_what_is_missing_and_tests_last(ci: Path) -> None:
    done = run_ci(ci)
    assert done.returncode == 0, done.stderr
    update, install, *made, end = done.stdout.splitlines()
    assert update == "apt-get update -qq"
    assert install.endswith("tmux gcc libc6-dev librsvg2-bin")
    assert [line.split()[-1] for line in made] == ["install-test", "lint", "quick", "lowest", "accept"]
    assert end == "quick tests ended with 0, with the lowest versions 0, acceptance tests with 0"


def test_ci_installs_nothing_when_all_is_there(ci: Path) -> None:
    for name in ("tmux", "cc", "rsvg-convert"):
        executable(ci / "bin" / name, "exit 0")
    assert "apt-get" not in run_ci(ci).stdout


def test_ci_says_what_to_install_where_it_may_not(ci: Path) -> None:
    executable(ci / "bin" / "id", "echo 1000")
    done = run_ci(ci)
    assert done.returncode == 1
    assert "sudo apt-get install tmux gcc libc6-dev librsvg2-bin" in done.stderr
    assert "make" not in done.stdout


def test_ci_fails_when_a_test_fails(ci: Path) -> None:
    executable(ci / "bin" / "make", 'echo "make $*"; exit 2')
    done = run_ci(ci)
    assert done.returncode == 2


@pytest.mark.parametrize(("failing", "codes"), [("quick", (2, 0, 0)), ("lowest", (0, 2, 0)), ("accept", (0, 0, 2))])
def test_ci_fails_when_one_part_fails_and_lets_the_others_end(
    ci: Path, failing: str, codes: tuple[int, int, int]
) -> None:
    executable(ci / "bin" / "make", f'echo "make $*"; case "$*" in *{failing}) exit 2;; esac')
    done = run_ci(ci)
    assert done.returncode == 1
    assert all(f"make --no-print-directory {part}" in done.stdout for part in ("quick", "lowest", "accept"))
    said = "quick tests ended with {}, with the lowest versions {}, acceptance tests with {}"
    assert done.stdout.splitlines()[-1] == said.format(*codes)


def test_the_events_page_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    assert page == events_doc.events_page(), "python -m rung.engine.jobs.events_page > docs/events.md"
