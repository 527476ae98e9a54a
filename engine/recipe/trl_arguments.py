"""Which arguments of TRL's a recipe may set, and where; read from tables and TRL's source, without importing TRL."""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from rung.engine.core.faults import unknown_field
from rung.engine.recipe.schema import TrainingSettings
from rung.engine.recipe.trl_honoured import DISTILL_LOGITS, HONOURED, REFUSED, SHARED_HONOURED, UNKNOWN_HERE

_SFT = ("trainer/sft_config.py",)
_DPO = ("trainer/dpo_config.py",)
# Configuration -> files (below the trl package) whose class it is.
_CONFIG_FILES = {
    "sft": _SFT,
    "cpt": _SFT,
    "distill": _SFT,
    DISTILL_LOGITS: ("trainer/distillation_config.py",),
    "dpo": _DPO,
    "constitution": _DPO,
    "kto": ("trainer/kto_config.py", "experimental/kto/kto_config.py"),
    "orpo": ("experimental/orpo/orpo_config.py",),
    "reward": ("trainer/reward_config.py",),
    "grpo": ("trainer/grpo_config.py",),
    "rloo": ("trainer/rloo_config.py",),
}
_ANSWERING = {"rewards", "max_prompt_length", "measure_kl", "kl_limit", "no_variance_patience"}
# Fields of a method's own block that are ours, not TRL's.
_OWN_FIELDS: dict[str, set[str]] = {
    "grpo": _ANSWERING,
    "rloo": _ANSWERING,
    "distill": {"teacher", "filter", "judge", "samples", "mode", "metric"},
    "constitution": {
        "principles", "rounds", "temperature", "max_new_tokens", "critique_request", "revision_request", "judge",
        "keep", "review", "batch_size",
    },
}  # fmt: skip


def argument_faults(value: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """(path, what is wrong) of each argument in `training:` or the method's block that Rung doesn't do.

    Where TRL is not installed beside this process, an argument that its version lacks is told by the worker.
    """
    method = str(value.get("method", ""))
    config = config_of(value)
    if config not in HONOURED:
        return []
    in_training = set(TrainingSettings.model_fields) | _installed_ones(config, SHARED_HONOURED)
    in_block = _installed_ones(config, HONOURED[config]) | own_fields(method)
    found: list[tuple[tuple[str, ...], str]] = []
    for block, known, elsewhere in (("training", in_training, in_block), (method, in_block, in_training)):
        given = value.get(block)
        for name, setting in given.items() if isinstance(given, dict) else ():
            if name in known:
                continue
            if name in elsewhere:
                other = method if block == "training" else "training"
                found.append(((block, str(name)), f"stands in the other block; set {other}.{name}"))
            elif fault := _fault(config, str(name), setting, sorted(known)):
                found.append(((block, str(name)), fault))
    return found


def config_of(value: dict[str, Any]) -> str:
    """Which of TRL's configurations a recipe's method uses: a key of HONOURED."""
    method, block = str(value.get("method", "")), value.get("distill")
    logits = method == "distill" and isinstance(block, dict) and block.get("mode") == "logits"
    return DISTILL_LOGITS if logits else method


def own_fields(method: str) -> frozenset[str]:
    """Names in the method's own block that are Rung's, not TRL's."""
    return frozenset(_OWN_FIELDS.get(method, ()))


@cache
def argument_names(config: str) -> frozenset[str]:
    """Names of all arguments of a TRL configuration; empty when TRL or the configuration is not there."""
    files = [_package_folder("trl") / name for name in _CONFIG_FILES.get(config, ())] if _installed("trl") else []
    files = [file for file in files if file.exists()]
    if not files or not _installed("transformers"):
        return frozenset()
    inherited = [
        _package_folder("transformers") / "training_args.py",
        _package_folder("trl") / "trainer/base_config.py",
    ]
    return frozenset(name for file in [*files, *inherited] if file.exists() for name in _dataclass_fields(file))


def _fault(config: str, name: str, setting: Any, known: list[str]) -> str:
    """What is wrong with an argument that isn't honoured; empty where its value says what is done anyway."""
    there = argument_names(config)
    if there and name not in there:
        return unknown_field(name, known)
    if name in REFUSED:
        return str(REFUSED[name]) if REFUSED[name].covers(setting) else ""
    return str(UNKNOWN_HERE) if there else unknown_field(name, known)


def _installed_ones(config: str, names: frozenset[str]) -> frozenset[str]:
    """Of these arguments those that the installed TRL has; all where it is not installed."""
    there = argument_names(config)
    return names & there if there else names


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _dataclass_fields(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        statement.target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
