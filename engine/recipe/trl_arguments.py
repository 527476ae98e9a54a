"""Which arguments TRL's configurations have, read from their source: checking a recipe imports no training stack."""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from engine.recipe.schema import TrainingSettings

# Method -> files (below the trl package) whose configuration class it uses.
_CONFIG_FILES = {
    "sft": ["trainer/sft_config.py"],
    "cpt": ["trainer/sft_config.py"],
    "distill": ["trainer/sft_config.py", "trainer/distillation_config.py"],
    "dpo": ["trainer/dpo_config.py"],
    "constitution": ["trainer/dpo_config.py"],
    "kto": ["trainer/kto_config.py", "experimental/kto/kto_config.py"],
    "orpo": ["experimental/orpo/orpo_config.py"],
    "reward": ["trainer/reward_config.py"],
    "grpo": ["trainer/grpo_config.py"],
    "rloo": ["trainer/rloo_config.py"],
}
# Fields of a method's own block that are ours, not TRL's.
_OWN_FIELDS: dict[str, set[str]] = {
    "grpo": {"rewards", "max_prompt_length", "measure_kl", "kl_limit", "no_variance_patience"},
    "rloo": {"rewards", "max_prompt_length", "measure_kl", "kl_limit", "no_variance_patience"},
    "distill": {"teacher", "filter", "judge", "samples", "mode", "metric"},
    "constitution": {
        "principles", "rounds", "temperature", "max_new_tokens", "critique_request", "revision_request", "judge",
        "keep", "review", "batch_size",
    },
}  # fmt: skip
# Arguments that the worker sets itself: a recipe that sets them too would be ignored, so it is refused.
_SET_BY_RUNG = {
    "output_dir",
    "max_length",
    "seed",
    "report_to",
    "run_name",
    "logging_steps",
    "eval_strategy",
    "save_strategy",
}


def unknown_arguments(value: dict[str, Any]) -> list[tuple[tuple[str, ...], str, list[str]]]:
    """(block path, name, known names) of each argument in `training:` or the method's block that TRL doesn't have.

    Empty where TRL is not installed beside this process: the worker checks again where it runs.
    """
    method = str(value.get("method", ""))
    names = argument_names(method)
    if not names:
        return []
    own = set(TrainingSettings.model_fields)
    found: list[tuple[tuple[str, ...], str, list[str]]] = []
    for block, extra in (("training", own), (method, _OWN_FIELDS.get(method, set()))):
        known = sorted((names | extra) - _SET_BY_RUNG)
        given = value.get(block)
        if isinstance(given, dict):
            found += [((block,), str(name), known) for name in given if name not in known]
    return found


def own_fields(method: str) -> frozenset[str]:
    """Names in the method's own block that are Rung's, not TRL's."""
    return frozenset(_OWN_FIELDS.get(method, ()))


@cache
def argument_names(method: str) -> frozenset[str]:
    """Names of all arguments of the method's TRL configuration; empty when TRL or the method is not there."""
    files = [_package_folder("trl") / name for name in _CONFIG_FILES.get(method, [])] if _installed("trl") else []
    files = [file for file in files if file.exists()]
    if not files or not _installed("transformers"):
        return frozenset()
    inherited = [
        _package_folder("transformers") / "training_args.py",
        _package_folder("trl") / "trainer/base_config.py",
    ]
    return frozenset(name for file in [*files, *inherited] if file.exists() for name in _dataclass_fields(file))


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
