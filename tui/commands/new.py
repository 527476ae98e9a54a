"""rung new: a project of one's own, with a comment on every knob."""

import argparse
from pathlib import Path

from tui.commands.output import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung new` takes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="a new or an empty folder")
    parser.add_argument("--model", metavar="M", help="a model folder, a hub id, or pocket (the small one Rung ships)")
    parser.add_argument("--train", metavar="FILE", type=Path, help="rows to learn from, split for you")
    parser.add_argument("--validation", metavar="FILE", type=Path, help="rows to choose by, with --test: no splitting")
    parser.add_argument("--test", metavar="FILE", type=Path, help="held-out rows of your own")
    parser.add_argument("--documents", metavar="DIR", type=Path, help="texts to answer from")
    parser.add_argument("--group-by", metavar="COLUMN", help="rows equal in it stay in one split (document, user)")
    parser.add_argument("--label", metavar="COLUMN", help="class label: every split gets its share of each")
    parser.add_argument("--metric", metavar="M", action="append", default=[], help="how answers are scored")
    parser.add_argument("--target", metavar="X", type=float, help="score that is good enough, for example 0.8")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the split (default 0)")


def run(args: argparse.Namespace) -> int:
    """Write rung.yaml, recipes/sft.yaml and the splits, and say what comes next."""
    from engine.project.new import write_new_project
    from engine.project.recommend import RECIPE_FILE
    from engine.project.schema import ProjectData

    made = write_new_project(
        args.directory,
        args.model or "pocket",
        args.train,
        validation=args.validation,
        test=args.test,
        documents=args.documents,
        metrics=args.metric,
        target=args.target,
        data=ProjectData(group_by=args.group_by, label=args.label),
        seed=args.seed,
    )
    progress = Progress()
    if args.model is None:
        made.notes.append("no --model given: the model is pocket; name your own in rung.yaml and the recipe")
    for note in made.notes:
        progress.line(f"note: {note}")
    print(made.root)
    progress.line(f"next: rung check {args.directory}/{RECIPE_FILE}, then rung run {args.directory}/{RECIPE_FILE}")
    return 0
