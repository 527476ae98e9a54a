"""What may load what: the engine nothing of the screens, the light commands nothing heavy."""

import ast
import json
import subprocess
import sys

import pytest

from tests.helpers.program import ROOT

HEAVY = {
    "torch", "transformers", "trl", "peft", "datasets", "lancedb", "scipy", "sklearn", "pandas", "accelerate",
    "bitsandbytes", "numpy", "huggingface_hub",
}  # fmt: skip
SCREENS = {"tui", "textual", "rich"}


def loaded_after(code: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter after `code`."""
    code += "\nimport sys, json; print(json.dumps([name.removeprefix('rung.').split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import rung.engine",
        "import rung.tui.shell.app",
        "from rung.__main__ import main; main(['--help'])",
        "from rung.__main__ import main; main(['runs'])",
        "from rung.__main__ import main; main(['adapters'])",
        "from rung.__main__ import main; main(['doctor'])",
    ],
)
def test_light_starts_load_nothing_heavy(code: str) -> None:
    assert loaded_after(code) & HEAVY == set()


@pytest.mark.parametrize(
    "command", ["--help", "runs", "adapters", "export --help", "run --help", "watch --help", "fetch --help"]
)
def test_commands_without_screens_load_no_textual(command: str) -> None:
    loaded = loaded_after(f"from rung.__main__ import main; main({command.split()!r})")
    assert loaded & {"textual", "rich"} == set()
    assert "tui" in loaded


def test_a_worker_loads_nothing_of_the_screens() -> None:
    loaded = loaded_after("from rung.__main__ import main; main(['worker', 'no such kind'])")
    assert "engine" in loaded
    assert loaded & (SCREENS | HEAVY) == set()


def test_no_engine_file_names_the_screens() -> None:
    named = {
        (file.name, name)
        for file in (ROOT / "engine").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in imported_names(node)
        if name.removeprefix("rung.").split(".")[0] in SCREENS
    }
    assert named == set()


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
