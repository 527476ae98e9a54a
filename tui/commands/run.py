"""rung run: start a recipe, follow it, and print what came out."""

import argparse
from pathlib import Path

from rung.tui.commands.arguments import add_fetch_argument
from rung.tui.commands.output import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung run` takes."""
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="a recipe's YAML file")
    parser.add_argument("--detach", action="store_true", help="start it and return at once")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides",
        help="override a field, for example training.learning_rate=1e-4; may be given more than once",
    )  # fmt: skip
    add_fetch_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Start the recipe; the run itself is a process of its own and outlives this command."""
    from rung.engine.project import project_root
    from rung.engine.project.follow import load_fitted
    from rung.engine.training.launch import start_run
    from rung.tui.commands.following import counted_interrupts
    from rung.tui.commands.job import attend
    from rung.tui.settings.interpreter import asked_for, worker_python

    root = project_root(args.recipe.resolve().parent)
    recipe = load_fitted(args.recipe, args.overrides)
    python = asked_for() or recipe.worker_python or worker_python(root)
    recipe = recipe.model_copy(update={"worker_python": python})
    progress = Progress()
    with counted_interrupts() as interrupts:
        folder = start_run(recipe, root, fetch=args.fetch)
        progress.line(f"run {folder.id}")
        return attend(folder, progress, interrupts, detach=args.detach, as_json=args.json)
