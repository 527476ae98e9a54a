"""Python interpreters that could run workers: where they are, what they have installed, what that lets them do.

Each is asked in a process of its own and by package metadata alone, so asking loads no training stack here.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

PROBE_SECONDS = 30.0
TORCH_SECONDS = 90.0
MOST_INTERPRETERS = 16

TRAINING = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors")
ABILITIES = {
    "train": TRAINING,
    "qlora": (*TRAINING, "bitsandbytes"),
    "rag": ("lancedb", "semantic-text-splitter", "pypdfium2"),
    "score": ("scipy", "scikit-learn", "sacrebleu", "rouge-score", "jsonschema"),
    "flash attention": ("flash-attn",),
    "vllm": ("vllm",),
}
# What a worker needs of the bare install.
WORKER_NEEDS = ("pydantic", "pyyaml", "numpy", "psutil")
_WANTED = sorted(
    {name for names in ABILITIES.values() for name in names}
    | {*WORKER_NEEDS, "nvidia-ml-py", "textual", "huggingface-hub"}
)

_PROBE = """
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"python": ".".join(map(str, sys.version_info[:3])), "packages": found}))
"""
_TORCH_PROBE = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu', torch.version.cuda or 'none')"


@dataclass(frozen=True)
class Interpreter:
    """One interpreter. `can` says of each ability whether its packages are there; `lacks` what is missing for it."""

    path: str
    origin: str
    python: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    can: dict[str, bool] = field(default_factory=dict)
    lacks: dict[str, list[str]] = field(default_factory=dict)
    torch_device: str | None = None
    torch_cuda: str | None = None
    error: str | None = None


def find_interpreters(project: Path, settings: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(path, origin) of this interpreter, those named in settings, and the environments found, each once."""
    home = Path.home()
    candidates: list[tuple[str, str]] = [(sys.executable, "this one")]
    candidates += [(path, "settings") for path in settings if path]
    for variable, origin in (("VIRTUAL_ENV", "active venv"), ("CONDA_PREFIX", "active conda")):
        if prefix := os.environ.get(variable):
            candidates.append((f"{prefix}/bin/python", origin))
    candidates += [(str(project / name / "bin/python"), "project venv") for name in (".venv", "venv")]
    candidates += [(f"{prefix}/bin/python", "conda") for prefix in _conda_prefixes(home)]
    candidates += [(str(path), "venv") for path in sorted(home.glob(".virtualenvs/*/bin/python"))]
    if on_path := shutil.which("python3"):
        candidates.append((on_path, "PATH"))
    return list(_each_once(candidates))[:MOST_INTERPRETERS]


def probe_interpreters(found: Sequence[tuple[str, str]], *, ask_torch: bool) -> list[Interpreter]:
    """What each has and can do; with `ask_torch` also whether its torch sees a GPU (seconds each)."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda item: probe(*item, ask_torch=ask_torch), found))


def probe(path: str, origin: str, *, ask_torch: bool = False) -> Interpreter:
    """Ask one interpreter. One that can't be run gives its error instead of packages."""
    answer, error = _output([path, "-c", _PROBE, *_WANTED], PROBE_SECONDS)
    if error is not None:
        return Interpreter(path, origin, error=error)
    try:
        told = json.loads(answer)
    except ValueError:
        return Interpreter(path, origin, error=f"it answers as no Python does: {answer[:80]}")
    packages: dict[str, str] = told["packages"]
    lacks = {ability: lacking(names, packages, told["python"]) for ability, names in ABILITIES.items()}
    device, cuda = _torch_sees(path) if ask_torch and "torch" in packages else (None, None)
    return Interpreter(
        path=path,
        origin=origin,
        python=told["python"],
        packages=packages,
        can={ability: not missing for ability, missing in lacks.items()},
        lacks={ability: missing for ability, missing in lacks.items() if missing},
        torch_device=device,
        torch_cuda=cuda,
    )


@lru_cache(maxsize=1)
def lower_bounds() -> dict[str, tuple[int, ...]]:
    """The lowest version of each package that Rung's own metadata admits; {} when Rung is not installed."""
    try:
        requirements = importlib.metadata.requires("rung") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    bounds = (re.match(r"([\w.-]+).*?>=\s*([\d.]+)", requirement) for requirement in requirements)
    return {_normal(bound[1]): _numbers(bound[2]) for bound in bounds if bound}


def lacking(names: Iterable[str], packages: dict[str, str], python: str) -> list[str]:
    """Which of the packages, and of those that every worker needs, are missing or too old."""
    bounds = lower_bounds()
    found = ["python 3.11"] if _numbers(python) < (3, 11) else []
    for name in dict.fromkeys((*names, *WORKER_NEEDS)):
        version, bound = packages.get(name), bounds.get(name, ())
        if version is None:
            found.append(name)
        elif _numbers(version) < bound:
            found.append(f"{name} {'.'.join(map(str, bound))} (has {version})")
    return found


def _torch_sees(path: str) -> tuple[str | None, str | None]:
    answer, error = _output([path, "-c", _TORCH_PROBE], TORCH_SECONDS)
    words = answer.split()
    if error is not None or len(words) != 2:
        return None, None
    return words[0], None if words[1] == "none" else words[1]


def _output(command: list[str], seconds: float) -> tuple[str, str | None]:
    """(last line of stdout, error). Run in / so that nothing in the user's folder is imported by accident."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {seconds:.0f} s"
    except (OSError, UnicodeDecodeError) as error:
        return "", str(error)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()
        return "", said[-1] if said else f"ended with code {done.returncode}"
    return lines[-1], None


def _conda_prefixes(home: Path) -> list[str]:
    try:
        listed = (home / ".conda" / "environments.txt").read_text().split("\n")
    except OSError:
        listed = []
    bases = [home / name for name in ("miniconda3", "anaconda3", "miniforge3", "mambaforge")] + [Path("/opt/conda")]
    for base in bases:
        listed += [str(base), *(str(path) for path in sorted(base.glob("envs/*")))]
    return [prefix for prefix in listed if prefix.strip()]


def _each_once(candidates: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    seen: set[Path] = set()
    for path, origin in candidates:
        # Not resolved: the python of every venv is a link to the one it was made from.
        place = Path(path).absolute().parent
        if place not in seen and (Path(path).exists() or origin == "settings"):
            seen.add(place)
            yield path, origin


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
