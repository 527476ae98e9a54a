"""Whether an interpreter has what a worker needs: asked before it is started, so that nothing starts only to fail.

By package metadata alone, as `rung.engine.machine.interpreters` does; nothing of the training stack is loaded here.
"""

import importlib.metadata
import json
import platform
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import CHECKOUT
from rung.engine.machine.devices import nvml_answers
from rung.engine.machine.interpreters import (
    TRAINING,
    WORKER_NEEDS,
    Interpreter,
    find_interpreters,
    lacking,
    probe,
    probe_interpreters,
)

_ANSWERING = ("torch", "transformers", "peft", "safetensors")
# Kind of worker -> what it is for, and the packages without which it fails whatever it is asked.
_NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "train": ("train", TRAINING),
    "evaluate": ("evaluate", (*_ANSWERING, "scikit-learn")),
    "generate": ("answer", _ANSWERING),
    "export": ("write models", _ANSWERING),
    "check": ("check data and recipes", ("torch", "transformers")),
    "browse": ("read data as a model does", ("transformers",)),
    "retrieve": ("search documents", ("lancedb", "semantic-text-splitter")),
    "fetch": ("fetch models", ("huggingface-hub",)),
}


class LacksStack(EngineError):
    """The interpreter lacks packages that a worker needs; `able` is one on this machine that has them, or None."""

    def __init__(self, python: str, work: str, missing: Sequence[str], able: str | None) -> None:
        brings = install_command(python)
        super().__init__(
            f"{python} can't {work}: it lacks {', '.join(missing)}",
            f"{able}, found on this machine, has all of that" if able else "no other Python found here has all of that",
            f"take that one for this project: --python {able}; or bring what lacks: {brings}" if able else brings,
        )
        self.able = able


def require_stack(kind: str, python: str | None, root: Path | None = None, also: Sequence[str] = ()) -> None:
    """Raise LacksStack where a worker of that kind would lack packages in `python` (None: this interpreter).

    `also` names packages that this job needs beyond those of its kind; `root` is the project, whose own environment is
    among those that are looked at. An interpreter that can't be run at all is left to whoever starts it.
    """
    work, names = _NEEDS[kind]
    wanted = (*names, *also)
    missing = _missing_here(wanted) if python in (None, sys.executable) else _missing_there(str(python), wanted)
    if missing:
        raise LacksStack(python or sys.executable, work, missing, _able(wanted, root or Path.cwd(), python))


def install_command(python: str) -> str:
    """The one command that brings the training stack to `python`, by the way Rung itself was installed."""
    pip = f"{shlex.quote(python)} -m pip install"
    if (CHECKOUT / "pyproject.toml").exists():
        versions = "gpu" if nvml_answers() else "cpu"
        return f"cd {shlex.quote(str(CHECKOUT))} && {pip} -c constraints/{versions}.txt '.[train]'"
    origin = _origin()
    return f"{pip} {shlex.quote(f'rung[train] @ {origin}')}" if origin else f"{pip} 'rung[train]'"


def usable_python(path: Path) -> str:
    """The interpreter at `path` (or in that environment's folder), which can train. Raises EngineError."""
    inside = path / "bin" / "python"
    # Not resolved: the python of every environment is a link to the one it was made from.
    python = str((inside if path.is_dir() and inside.exists() else path).expanduser().absolute())
    found = probe(python, "--python")
    if found.error is not None:
        raise EngineError(f"{python} can't be run as a Python interpreter", found.error, "rung doctor lists those here")
    if missing := found.lacks.get("train"):
        raise LacksStack(python, "train", missing, _able(TRAINING, Path.cwd(), python))
    return python


def _missing_here(names: Sequence[str]) -> list[str]:
    packages = {}
    for distribution in (*names, *WORKER_NEEDS):
        try:
            packages[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return lacking(names, packages, platform.python_version())


def _missing_there(python: str, names: Sequence[str]) -> list[str]:
    found = _known.get(python) or probe(python, "worker_python")
    if found.error is not None:
        return []
    missing = lacking(names, found.packages, str(found.python))
    if not missing:
        _known[python] = found  # What lacks something may be mended meanwhile, and is asked again.
    return missing


def _able(names: Sequence[str], root: Path, besides: str | None) -> str | None:
    """The first interpreter found on this machine that has it all."""
    found = [item for item in find_interpreters(root) if item[0] not in (besides, None if besides else sys.executable)]
    for item in probe_interpreters(found, ask_torch=False):
        if item.error is None and not lacking((*names, *TRAINING), item.packages, str(item.python)):
            return item.path
    return None


@cache
def _origin() -> str | None:
    """The address that Rung was installed from, where that was no index (PEP 610)."""
    try:
        told = importlib.metadata.distribution("rung").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    return str(json.loads(told)["url"]) if told else None


_known: dict[str, Interpreter] = {}
