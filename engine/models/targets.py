"""Which of a model's layers an adapter's `target_modules` name, by PEFT's own rules. Loads no library."""

import re
from collections.abc import Sequence

from rung.engine.core.errors import EngineError


def as_list_or_pattern(targets: str | list[str]) -> str | list[str]:
    """The targets as PEFT takes them: one name alone is a list of one, for PEFT reads any text as a pattern."""
    if isinstance(targets, str) and targets != "all-linear" and re.fullmatch(r"[\w.]+", targets):
        return [targets]
    return targets


def named_layers(names: Sequence[str], targets: str | list[str]) -> list[str]:
    """Of the layers' full names those that the targets name: a list by the ends of names, a text as a pattern.

    Raises EngineError for a target that names none, with the layers there are.
    """
    targets = as_list_or_pattern(targets)
    wanted = [targets] if isinstance(targets, str) else targets
    unmatched = [target for target in wanted if not any(_is_named(name, target, targets) for name in names)]
    if unmatched or not wanted:
        raise no_layer_fits(names, targets, unmatched)
    return [name for name in names if any(_is_named(name, target, targets) for target in wanted)]


def no_layer_fits(names: Sequence[str], targets: str | list[str], unmatched: Sequence[str] = ()) -> EngineError:
    """The error for targets that name no layer."""
    there = sorted({name.rpartition(".")[2] for name in names})
    some = f"{', '.join(unmatched)} in adapter.target_modules" if unmatched else "adapter.target_modules"
    return EngineError(
        f"No layer of the model fits {some}",
        f"target_modules: {targets}\nlayers there are: {', '.join(there) or 'none'}",
        "all-linear takes every linear layer but the head",
    )


def _is_named(name: str, target: str, targets: str | list[str]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(target, name) is not None
    return name == target or name.endswith(f".{target}")
