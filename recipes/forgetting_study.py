"""What a task costs in general ability, on your model: LoRA and full training, two rates, with and without replay.

`python recipes/forgetting_study.py RECIPE` (installed: `python -m rung.recipes.forgetting_study RECIPE`) takes a recipe
of yours, runs it once for every arm, one after the other, and prints a table: the task's validation loss and the
probe's general loss before and after. A study that is broken off goes on where it stopped: arms that are done are read.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import RunReader, log_tail
from rung.engine.project.follow import facts_or_none, load_fitted
from rung.engine.project.root import project_root
from rung.engine.recipe.load import build_recipe, dump_recipe, load_recipe
from rung.engine.recipe.rates import learning_rate
from rung.engine.recipe.schema import AdapterSettings, Recipe
from rung.engine.training.launch import resume_run, start_run

KINDS = ("lora", "full")
RATIOS = (0.0, 0.05, 0.2)
HIGHER = 5.0
"""How many times the kind's own rate the high one is."""
POLL_SECONDS = 0.2
TAG = "forgetting-study"


@dataclass(frozen=True)
class Arm:
    """One way of training: what is trained, at which rate, with which share of replayed rows."""

    kind: str
    rate: float
    replay: float
    recipe: Recipe


@dataclass(frozen=True)
class Cost:
    """What an arm gained and forgot; losses in nats a token, `low` and `high` the interval of the general change."""

    kind: str
    rate: float
    replay: float
    task_before: float
    task_after: float
    general_before: float
    general_after: float
    low: float | None
    high: float | None
    kl: float | None
    run: str


def study_arms(
    recipe: Recipe,
    factors: Sequence[float] = (1.0, HIGHER),
    ratios: Sequence[float] = RATIOS,
    parameters: int | None = None,
) -> list[Arm]:
    """Every arm of the study. `factors` are of each kind's own learning rate for a model of so many `parameters`.

    Replayed rows come from the recipe's `data.replay.source`, or are the base model's own answers.
    """
    if recipe.probe.source is None:
        raise EngineError("The study measures forgetting, and the recipe has no probe", hint="set probe.source")
    arms = []
    for kind, factor, ratio in product(KINDS, factors, ratios):
        value = recipe.model_dump(exclude_unset=True)
        given = dict(value.get("training", {}))
        given.pop("learning_rate", None)
        lora = (recipe.adapter or AdapterSettings()).model_dump()
        rate = learning_rate(recipe.method, kind != "lora", parameters) * factor
        replay = {"source": recipe.data.replay.source or "self", "ratio": ratio} if ratio else {}
        changes = {
            "name": f"{kind}, rate {rate:g}, replay {ratio:.0%}",
            "tags": [*recipe.tags, TAG],
            "training": given | {"learning_rate": rate},
            "adapter": lora if kind == "lora" else None,
            "data": value["data"] | {"replay": replay},
        }
        arms.append(Arm(kind, rate, ratio, build_recipe(value | changes, "the study")))
    return arms


def run_study(arms: Sequence[Arm], root: Path, say: Callable[[str], None]) -> list[Cost]:
    """The cost of every arm, run by run. Raises EngineError where one fails."""
    costs = []
    for number, arm in enumerate(arms, start=1):
        folder = _run_of(arm, root)
        say(f"{number} of {len(arms)}: {arm.recipe.name} ({folder.id})")
        _wait(folder)
        costs.append(_cost(arm, folder))
    return costs


def study_table(costs: Sequence[Cost]) -> str:
    """The costs as a table in Markdown."""
    lines = [
        "| trained | rate | replay | task loss before | after | general loss before | after | change (95 %) | KL |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        change = f"{cost.general_after - cost.general_before:+.3f}"
        if cost.low is not None and cost.high is not None:
            change += f" ({cost.low:+.3f} to {cost.high:+.3f})"
        kl = "" if cost.kl is None else f"{cost.kl:.3f}"
        lines.append(
            f"| {cost.kind} | {cost.rate:g} | {cost.replay:.0%} | {cost.task_before:.3f} | {cost.task_after:.3f} "
            f"| {cost.general_before:.3f} | {cost.general_after:.3f} | {change} | {kl} |"
        )
    return "\n".join(lines)


def _run_of(arm: Arm, root: Path) -> RunFolder:
    """The arm's run: an earlier one of the same recipe, taken up where it is broken off, or a new one."""
    wanted = dump_recipe(arm.recipe)
    for folder in reversed(list_runs(root)):
        if not folder.recipe.exists() or dump_recipe(load_recipe(folder.recipe)) != wanted:
            continue
        state = RunReader(folder).catch_up()
        if state.status != "finished" and not is_locked(folder.lock):
            resume_run(folder)
        return folder
    return start_run(arm.recipe, root)


def _wait(folder: RunFolder) -> None:
    reader = RunReader(folder)
    while not reader.catch_up().over or is_locked(folder.lock):
        if reader.status() == "crashed":
            raise EngineError(f"{folder.id} ended without a word", log_tail(folder), f"rung resume {folder.id}")
        time.sleep(POLL_SECONDS)
    if reader.state.status != "finished":
        message = str(reader.state.result.get("message", reader.state.status))
        raise EngineError(f"{folder.id} did not finish", message, "run the study again: finished arms are kept")


def _cost(arm: Arm, folder: RunFolder) -> Cost:
    state = RunReader(folder).catch_up()
    metrics = state.result["metrics"]
    general = state.curve("probe/loss").values
    low, high = (state.result.get("forgetting_intervals") or {}).get("loss", (None, None))
    return Cost(
        arm.kind, arm.rate, arm.replay, metrics["loss_before"], metrics["loss"], general[0], general[-1], low, high,
        state.curve("probe/kl").last, folder.id,
    )  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """The study of one recipe: progress on stderr, the table (or JSON) on stdout."""
    parser = argparse.ArgumentParser(prog="forgetting_study", description=__doc__)
    parser.add_argument("recipe", type=Path, help="a recipe of yours: sft, cpt or distill")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides",
                        help="override a field; may be given more than once")  # fmt: skip
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, HIGHER], metavar="FACTOR",
                        help="of each kind's own learning rate (default: 1 5)")  # fmt: skip
    parser.add_argument("--replay", type=float, nargs="+", default=list(RATIOS), metavar="SHARE",
                        help="of the training rows (default: 0 0.05 0.2)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the costs as one JSON value")
    args = parser.parse_args(argv)
    try:
        recipe = load_fitted(args.recipe, args.overrides)
        root = project_root(args.recipe.resolve().parent)
        facts = facts_or_none(recipe.model.name, root, recipe.model.revision)
        arms = study_arms(recipe, args.rates, args.replay, facts.parameters)
        costs = run_study(arms, root, lambda said: print(said, file=sys.stderr))
    except EngineError as error:
        print("\n".join(part for part in (error.message, error.details, error.hint) if part), file=sys.stderr)
        return 2
    print(json.dumps([asdict(cost) for cost in costs]) if args.json else study_table(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
