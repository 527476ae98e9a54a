"""What may load what: the engine nothing of the screens, the light commands nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch", "transformers", "trl", "peft", "datasets", "lancedb", "scipy", "sklearn", "pandas", "accelerate",
    "bitsandbytes", "numpy", "huggingface_hub",
}  # fmt: skip
SCREENS = {"tui", "textual", "rich"}


def loaded_after(code: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter after `code`."""
    code += "\nimport sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import engine",
        "import tui.app",
        "import rung; rung.main(['--help'])",
        "import rung; rung.main(['runs'])",
        "import rung; rung.main(['adapters'])",
        "import rung; rung.main(['doctor'])",
    ],
)
def test_light_starts_load_nothing_heavy(code: str) -> None:
    assert loaded_after(code) & HEAVY == set()


@pytest.mark.parametrize(
    "command", ["--help", "runs", "adapters", "export --help", "run --help", "watch --help", "fetch --help"]
)
def test_commands_without_screens_load_no_textual(command: str) -> None:
    loaded = loaded_after(f"import rung; rung.main({command.split()!r})")
    assert loaded & {"textual", "rich"} == set()
    assert "tui" in loaded


def test_a_worker_loads_nothing_of_the_screens() -> None:
    loaded = loaded_after("import rung; rung.main(['worker', 'no such kind'])")
    assert "engine" in loaded
    assert loaded & (SCREENS | HEAVY) == set()


def test_no_engine_file_names_the_screens() -> None:
    named = {
        (file.name, name)
        for file in (ROOT / "engine").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in imported_names(node)
        if name.split(".")[0] in SCREENS
    }
    assert named == set()


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
