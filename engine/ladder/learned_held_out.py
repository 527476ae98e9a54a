"""Whether a candidate has seen held-out rows: in what its run was trained on, or in the examples of its prompt.

What is trained on them scores too well on them, however it came to be allowed: such a candidate is marked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.read import read_rows
from engine.errors import EngineError
from engine.files import iterate_json_lines, read_json
from engine.ladder.examples import load_split
from engine.ladder.few_shot import make_pool
from engine.ladder.leakage import held_out_files, leakage_of, project_leakage
from engine.measure.leaks import find_leaks
from engine.measure.split_record import is_frozen, read_splits
from engine.project.schema import FewShotSettings, ProjectSettings
from engine.recipe.load import load_recipe
from engine.recipe.schema import Recipe
from engine.runs.folder import RunFolder, find_run

_OVERRIDDEN = "Overridden (leaks): "
_COMBINED_FILE = "combined.json"


@dataclass(frozen=True)
class SeenHeldOut:
    """How a candidate has seen held-out rows: one line, and one line for each of the first few rows."""

    message: str
    details: str = ""


def trained_on_held_out(root: Path, run: RunFolder | str) -> SeenHeldOut | None:
    """How a run, or one that it builds on, has learned from held-out rows of the project in `root`; None: it hasn't.

    Its files are searched as they are now, and its events say where it was trained in spite of a find. Runs that it
    started from, that were combined into it, whose full tune is its base, or that rewarded it count as its own. A run
    that is gone tells nothing. Files of a hub are not downloaded for it: the launch checks searched them.
    """
    first = _found(root, run) if isinstance(run, str) else run
    waiting, seen = ([first] if first is not None else []), set()
    while waiting:
        folder = waiting.pop(0)
        if folder.path in seen or not folder.recipe.exists():
            continue
        seen.add(folder.path)
        recipe = load_recipe(folder.recipe)
        found = _own(root, folder, recipe)
        if found is not None:
            if folder is first:
                return found
            return SeenHeldOut(f"{found.message} (run {folder.id}, which it builds on)", found.details)
        waiting += _builds_on(folder, recipe)
    return None


def shown_held_out(root: Path, project: ProjectSettings, few_shot: FewShotSettings) -> SeenHeldOut | None:
    """Held-out rows among the examples of a prompt; None where there are none.

    Fixed examples are looked at one by one. Of those nearest to the question any training row may be shown, and a
    held-out row's own copy is the nearest of all.
    """
    train = project.data.train
    if few_shot.k == 0 or train is None or not (root / train).exists():
        return None
    found = project_leakage(root, train, None)
    if not found:
        return None
    message, details = "; ".join(one.message for one in found), "\n".join(one.details for one in found)
    if few_shot.selection == "nearest":
        return SeenHeldOut(f"{message}, which the examples are taken from", details)
    shown = make_pool(load_split(root, project, "train").examples, project.data.label).fixed(few_shot)
    held_out = [row.fields for file in held_out_files(root) for row in read_rows(root / file)[0]]
    leaks = find_leaks([example.fields for example in shown], held_out)
    if not leaks:
        return None
    count = len({leak.train_row for leak in leaks})
    words = (
        "1 example of the prompt is a held-out row"
        if count == 1
        else f"{count} examples of the prompt are held-out rows"
    )
    return SeenHeldOut(words, "\n".join(leak.text for leak in leaks[:5]))


def _own(root: Path, folder: RunFolder, recipe: Recipe) -> SeenHeldOut | None:
    """What the run itself learned from: searched now, else told when it was trained."""
    own_root = folder.path.parent.parent
    data = recipe.data
    replayed = data.replay.source if data.replay.source != "builtin" else None
    learned = {name: own_root / Path(name).expanduser() for name in (data.train, replayed) if name}
    chosen_by = {data.validation: own_root / Path(data.validation).expanduser()} if data.validation else {}
    is_whole = all(path.exists() for path in (*learned.values(), *chosen_by.values()))
    try:
        found = leakage_of(root, learned, chosen_by)
    except EngineError:
        found, is_whole = [], False  # A file that is no data file any more: what was told then is all there is.
    if found:
        message = "; ".join(one.message for one in found)
        return SeenHeldOut(f"trained on held-out rows: {message}", "\n".join(one.details for one in found))
    return _told(folder, since=_frozen_at(root) if is_whole else 0.0)


def _told(folder: RunFolder, since: float) -> SeenHeldOut | None:
    """What the launch checks found and the recipe overrode.

    Held-out rows that were frozen anew after that are others: then the search alone decides, where it can.
    """
    for event in iterate_json_lines(folder.events):
        if not isinstance(event, Mapping) or event.get("type") != "warning" or float(event.get("time", since)) < since:
            continue
        message = str(event.get("message", ""))
        if message.startswith(_OVERRIDDEN):
            words = message.removeprefix(_OVERRIDDEN).replace("stands in", "stood in").replace("stand in", "stood in")
            return SeenHeldOut(f"trained on held-out rows: {words}", str(event.get("details", "")))
    return None


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
