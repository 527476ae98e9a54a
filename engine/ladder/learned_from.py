"""Whether a trained candidate learned from held-out rows: then its score says nothing, and no verdict rests on it."""

from pathlib import Path

from engine.errors import EngineError
from engine.ladder.leakage import recipe_leakage
from engine.recipe.load import load_recipe
from engine.runs.folder import find_run

_MOST_LINKS = 20


def learned_from_held_out(root: Path, run: str) -> str | None:
    """`learned from 12 held-out rows (data/all.jsonl)`, for a run or one that it started from; None where it did not.

    None too where the run's folder or its data are gone, unless its recipe let leaks pass: then that is what is said.
    The search is remembered by the content of the files, so asking again costs a hash of each.
    """
    for name in _chain(root, run):
        try:
            recipe = load_recipe(find_run(root, name).recipe)
        except EngineError:
            continue
        try:
            found = [one for one in recipe_leakage(recipe, root) if one.learned]
        except (EngineError, OSError):
            found = []
        if found:
            rows = max(one.count for one in found)
            files = ", ".join(dict.fromkeys(one.file for one in found))
            return f"learned from {rows:,} held-out {'row' if rows == 1 else 'rows'} ({files})"
        if "leaks" in recipe.overrides:
            return "was trained with the search for held-out rows overridden (leaks)"
    return None


def _chain(root: Path, run: str) -> list[str]:
    """The run and those it started from, newest first."""
    chain = [run]
    while len(chain) < _MOST_LINKS:
        try:
            start = load_recipe(find_run(root, chain[-1]).recipe).start_from
        except EngineError:
            break
        if start is None or not start.startswith("run:") or start.removeprefix("run:") in chain:
            break
        chain.append(start.removeprefix("run:"))
    return chain
