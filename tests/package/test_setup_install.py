"""The package as it is installed: wheel, folder and editable, each in an environment of its own."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers.program import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.accept]

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
ALONE = ["--no-deps", "--no-build-isolation", "--no-index"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A venv that sees this one's packages, but not the editable install of this project."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Folders added by a .pth file are not searched for .pth files of their own.
    (site / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building writes nothing into the tree."""
    target = tmp_path_factory.mktemp("source") / "rung"
    for name in ("engine", "tui", "recipes", "rung"):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, target)
    return target


def install(environment: Path, *what: str | Path) -> Path:
    """Install with this environment's pip; give the folder of installed packages."""
    subprocess.run([*PIP, "--python", environment / "bin" / "python", "install", *ALONE, *what], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def rung(environment: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [environment / "bin" / "rung", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_that_it_works(environment: Path, folder: Path) -> None:
    """The command works in a folder whose own modules have our names, and so does a worker."""
    folder.mkdir()
    for name in ("engine", "tui", "recipes", "rung"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    assert "watch" in rung(environment, "--help", cwd=folder)
    assert "no runs yet" in rung(environment, "runs", cwd=folder)
    code = "from rung.engine.jobs.program import worker_command; print(*worker_command())"
    shown = subprocess.run(
        [environment / "bin" / "python", "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    command = shown.stdout.splitlines()[-1].split()
    worker = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert worker.returncode == 2
    assert "people use rung run" in worker.stderr


def test_a_wheel_holds_one_package_and_works(environment: Path, source: Path, tmp_path: Path) -> None:
    subprocess.run([*PIP, "wheel", *ALONE, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("rung-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"rung"}
    wanted = {
        "rung/__init__.py",
        "rung/engine/__init__.py",
        "rung/tui/cli.py",
        "rung/engine/models/templates/plain.jinja",
    }
    assert wanted <= set(names)
    shipped = {str(file.relative_to(ROOT)) for file in (ROOT / "recipes").rglob("*") if file.is_file()}
    missing = {name for name in shipped if f"rung/{name}" not in names and "__pycache__" not in name}
    assert missing == set(), "the wheel carries all recipes and the pocket model"
    site = install(environment, wheel)
    assert not (site / "rung" / "engine").is_symlink()
    assert not (site / "engine").exists()
    check_that_it_works(environment, tmp_path / "elsewhere")


def test_installing_the_folder_works(environment: Path, source: Path, tmp_path: Path) -> None:
    site = install(environment, source)
    assert (site / "rung" / "engine").is_dir()
    check_that_it_works(environment, tmp_path / "elsewhere")


def test_an_editable_install_runs_the_checkout(environment: Path, source: Path, tmp_path: Path) -> None:
    site = install(environment, "--editable", source)
    assert not (site / "rung").exists(), "a copy would go stale"
    where = subprocess.run(
        [environment / "bin" / "python", "-c", "import rung.engine; print(rung.__file__, rung.engine.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.split() == [str(source / "rung" / name / "__init__.py") for name in ("", "engine")]
    check_that_it_works(environment, tmp_path / "elsewhere")
