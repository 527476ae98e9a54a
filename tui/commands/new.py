"""rung new: a project of one's own, with a comment on every knob."""

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.tui.commands.arguments import columns, number, positive_int
from rung.tui.commands.output import Progress, print_json

if TYPE_CHECKING:
    from rung.engine.guide.new import NewProject
    from rung.engine.splits.partition import SplitPlan

HOW_TO_GROUP = "--group-by COLUMN keeps rows together by another column, --group-by none by none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung new` takes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="a new or an empty folder")
    parser.add_argument("--model", metavar="M", help="a model folder, a hub id, or pocket (the small one Rung ships)")
    parser.add_argument("--train", metavar="FILE", type=Path, help="rows to learn from, split for you")
    parser.add_argument("--validation", metavar="FILE", type=Path, help="rows to choose by, with --test: no splitting")
    parser.add_argument("--test", metavar="FILE", type=Path, help="held-out rows of your own")
    parser.add_argument("--shape", metavar="S", default="auto", help="what a row holds, instead of detecting it")
    parser.add_argument(
        "--columns", metavar="FIELD=COLUMN", nargs="+", action="extend", default=[],
        help="which column of the rows is which field, for example prompt=question completion=reply",
    )  # fmt: skip
    parser.add_argument("--documents", metavar="DIR", type=Path, help="texts to answer from")
    parser.add_argument(
        "--group-by", metavar="COLUMN",
        help="rows equal in it stay in one split (default: found by its name, such as context or user, or as a "
        "long text that repeats; none: no column)",
    )  # fmt: skip
    parser.add_argument("--time-by", metavar="COLUMN", help="the latest rows by this column are held out")
    parser.add_argument("--label", metavar="COLUMN", help="class label: every split gets its share of each")
    parser.add_argument(
        "--gold", metavar="COLUMN", help="column with the passage, or the document, that answers the row's question"
    )
    parser.add_argument(
        "--final-rows", metavar="N", type=positive_int, default=0,
        help="rows of a second held-out set, sealed until rung eval --split final opens it",
    )  # fmt: skip
    parser.add_argument("--metric", metavar="M", action="append", default=[], help="how answers are scored")
    parser.add_argument("--target", metavar="X", type=number, help="score that is good enough, for example 0.8")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the split (default 0)")
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Write rung.yaml, a recipe and the splits, and say what comes next."""
    from rung.engine.guide.new import write_new_project
    from rung.engine.project.schema import ProjectData
    from rung.engine.recipe.data_needs import known_shape

    reading = {"shape": known_shape(args.shape), "columns": columns(args.columns)}
    made = write_new_project(
        args.directory,
        args.model or "pocket",
        args.train,
        validation=args.validation,
        test=args.test,
        documents=args.documents,
        metrics=args.metric,
        target=args.target,
        data=ProjectData.model_validate({**reading, "gold": args.gold}),
        plan=_plan(args),
    )
    progress = Progress()
    if args.model is None:
        made.notes.append("no --model given: the model is pocket; name your own in rung.yaml and the recipe")
    if args.json:
        print_json(_as_json(made))
        return 0
    for warning in made.warnings:
        progress.line(f"warning: {warning}")
    for note in made.notes:
        progress.line(f"note: {note}")
    if _can_group(made):
        progress.line(f"note: {HOW_TO_GROUP}")
    print(made.root)
    progress.line(f"next: {', then '.join(_next_commands(made, args.directory))}")
    return 0


def _next_commands(made: "NewProject", directory: Path) -> list[str]:
    """What to run now: bring a model that isn't here, check, train."""
    from rung.engine.recipe.load import load_recipe
    from rung.engine.training.models_wanted import missing_models, models_of_recipe

    missing = missing_models(models_of_recipe(load_recipe(made.root / made.recipe), made.root), made.root)
    file = shlex.quote(str(directory / made.recipe))
    return [*[model.fetch_command for model in missing], f"rung check {file}", f"rung run {file}"]


def _can_group(made: "NewProject") -> bool:
    """Whether the column that rows are kept together by was found, or could have been another one."""
    return made.groups is not None and (made.groups.found or bool(made.groups.shared))


def _as_json(made: "NewProject") -> dict[str, Any]:
    groups = asdict(made.groups) | {"change": HOW_TO_GROUP} if made.groups is not None else None
    return {
        "project": str(made.root),
        "recipe": made.recipe,
        "rows": dict(made.rows),
        "groups": groups,
        "warnings": made.warnings,
        "notes": made.notes,
    }


def _plan(args: argparse.Namespace) -> "SplitPlan":
    from pydantic import ValidationError

    from rung.engine.splits.partition import NO_GROUPS, SplitPlan

    try:
        return SplitPlan(
            seed=args.seed,
            group_by=None if args.group_by == NO_GROUPS else args.group_by,
            find_groups=args.group_by != NO_GROUPS,
            time_by=args.time_by,
            label=args.label,
            final_rows=args.final_rows,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise EngineError("The rows can't be split that way", reason) from None
