"""rung resume: go on from a run's last checkpoint, and follow it."""

import argparse

from rung.tui.commands.output import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung resume` takes."""
    parser.add_argument("run", metavar="RUN", help="a run's id, a unique part of it, its folder, or last")
    parser.add_argument(
        "--override", action="append", default=[], metavar="NAME", dest="overrides",
        help="pass over a refusal, such as recipe_changed or data_changed; may be given more than once",
    )  # fmt: skip
    parser.add_argument("--detach", action="store_true", help="start it and return at once")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Start the worker on the run's folder again."""
    from rung.engine.jobs.reader import read_run
    from rung.engine.training.launch import resume_run
    from rung.tui.commands.following import counted_interrupts
    from rung.tui.commands.job import attend
    from rung.tui.commands.project import wanted_run
    from rung.tui.settings.interpreter import asked_for

    folder = wanted_run(args.run)
    earlier, _ = read_run(folder)
    progress = Progress()
    with counted_interrupts() as interrupts:
        resume_run(folder, args.overrides, asked_for())
        progress.line(f"run {folder.id} goes on")
        return attend(
            folder, progress, interrupts, detach=args.detach, as_json=args.json, after=earlier.sequence
        )  # fmt: skip
