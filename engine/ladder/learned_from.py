"""Whether a candidate learned from held-out rows, or is shown them: then its score says nothing, and no verdict
rests on it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import iterate_json_lines, read_json
from rung.engine.data.read import read_rows
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.ladder.examples import load_split
from rung.engine.ladder.few_shot import make_pool
from rung.engine.project.schema import FewShotSettings, ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.splits.leaks import find_leaks
from rung.engine.splits.split_record import is_frozen, read_splits
from rung.engine.training.held_out_leaks import held_out_files, leakage_of, project_leakage

_OVERRIDDEN = "Overridden (leaks): "
_COMBINED_FILE = "combined.json"


def learned_from_held_out(root: Path, run: str) -> str | None:
    """`learned from 12 held-out rows (data/all.jsonl)`, for a run or one that it builds on; None where it did not.

    Its files are searched as they are now, and its events say where it was trained in spite of a find. It builds on
    the runs that it started from, that were combined into it, whose full tune is its base, or that rewarded it. A run
    that is gone tells nothing; files of a hub are not downloaded for it: the launch checks searched them.
    The search is remembered by the content of the files, so asking again costs a hash of each.
    """
    first = _found(root, run)
    waiting, seen = ([first] if first is not None else []), set()
    while waiting:
        folder = waiting.pop(0)
        if folder.path in seen or (recipe := _recipe(folder)) is None:
            continue
        seen.add(folder.path)
        found = _own(root, folder, recipe)
        if found is not None:
            return found if folder is first else f"{found} by way of the run {folder.id}"
        waiting += _builds_on(folder, recipe)
    return None


def shown_held_out(root: Path, project: ProjectSettings, few_shot: FewShotSettings) -> str | None:
    """`has 2 held-out rows among the examples of its prompt`; None where it has none.

    Fixed examples are looked at one by one. Of those nearest to the question any training row may be shown, and a
    held-out row's own copy is the nearest of all.
    """
    train = project.data.train
    if few_shot.k == 0 or train is None or not (root / train).exists():
        return None
    found = project_leakage(root, train, None)
    if not found:
        return None
    if few_shot.selection == "nearest":
        return f"takes the examples of its prompt from {train}, which has {_rows(max(one.count for one in found))}"
    shown = make_pool(load_split(root, project, "train").examples, project.data.label).fixed(few_shot)
    held_out = [row.fields for file in held_out_files(root) for row in read_rows(root / file)[0]]
    leaks = find_leaks([example.fields for example in shown], held_out, project.data.columns)
    return f"has {_rows(len(leaks))} among the examples of its prompt" if leaks else None


def _own(root: Path, folder: RunFolder, recipe: Recipe) -> str | None:
    """What the run itself learned from: searched now, else told when it was trained."""
    own_root = folder.path.parent.parent
    replayed = recipe.data.replay.source if recipe.data.replay.source != "builtin" else None
    learned = {name: own_root / Path(name).expanduser() for name in (recipe.data.train, replayed) if name}
    try:
        found = leakage_of(root, learned, {}, recipe.data.columns)
        is_whole = all(path.exists() for path in learned.values())
    except (EngineError, OSError):
        found, is_whole = [], False  # No data file any more: what was told then is all there is.
    if found:
        files = ", ".join(dict.fromkeys(one.file for one in found))
        return f"learned from {_rows(max(one.count for one in found))} ({files})"
    return _told(folder, learned, since=_frozen_at(root) if is_whole else 0.0)


def _told(folder: RunFolder, learned: Collection[str], since: float) -> str | None:
    """What the launch checks found in what was learned from, and the recipe overrode.

    Held-out rows that were frozen anew after that are others: then the search alone decides, where it can.
    """
    for event in iterate_json_lines(folder.events):
        if not isinstance(event, Mapping) or event.get("type") != "warning" or float(event.get("time", since)) < since:
            continue
        message = str(event.get("message", ""))
        finds = message.removeprefix(_OVERRIDDEN).split("; ") if message.startswith(_OVERRIDDEN) else []
        for find in finds:
            count, _, rest = find.partition(" held-out ")
            if file := next((name for name in learned if rest.endswith(f" in {name} too")), None):
                return f"learned from {_rows(int(count))} ({file}, as it was then)"
    return None


def _rows(count: int) -> str:
    return f"{count:,} held-out {'row' if count == 1 else 'rows'}"


def _frozen_at(root: Path) -> float:
    """When the held-out rows were frozen anew for the last time; 0 where they never were."""
    refrozen = (read_splits(root).refrozen if is_frozen(root) else None) or []
    return max((float(entry.get("time", 0.0)) for entry in refrozen), default=0.0)


def _builds_on(folder: RunFolder, recipe: Recipe) -> list[RunFolder]:
    """The runs whose results are in this one's: started from, combined, its base, or its rewards."""
    own_root = folder.path.parent.parent
    found = (_found(own_root, name) for name in _names(folder, recipe))
    return [run for run in found if run is not None]


def _names(folder: RunFolder, recipe: Recipe) -> Iterator[str]:
    kind, _, name = (recipe.start_from or "").partition(":")
    if kind == "run" and name:
        yield name
    base = Path(recipe.model.name)
    if base.name == "model" and base.parent.parent.name == "runs":
        yield str(folder.path.parent.parent / base.parent)
    combined = folder.path / _COMBINED_FILE
    if combined.exists():
        yield from (str(part["run"]) for part in read_json(combined).get("of", []))
    rewards: Any = recipe.method_block().get("rewards")
    for reward in rewards if isinstance(rewards, list) else []:
        if isinstance(reward, Mapping) and isinstance(reward.get("run"), str):
            yield reward["run"]


def _found(root: Path, name: str) -> RunFolder | None:
    try:
        return find_run(root, name)
    except EngineError:
        return None


def _recipe(folder: RunFolder) -> Recipe | None:
    try:
        return load_recipe(folder.recipe)
    except EngineError:
        return None
