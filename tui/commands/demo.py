"""rung demo: a project that shows one rung of the ladder winning, opened on the screens or climbed without them."""

import argparse
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.tui.commands.arguments import add_fetch_argument
from rung.tui.commands.output import Progress, print_json

KINDS = ("facts", "format", "preference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung demo` takes."""
    parser.add_argument(
        "what", metavar="[facts|format|preference] [DIR]", nargs="*",
        help="which demo (format) and where to make it (rung-demo-NAME); one that is there already goes on",
    )  # fmt: skip
    parser.add_argument("--headless", action="store_true", help="climb the ladder without screens; print the result")
    parser.add_argument("--model", metavar="M", default="pocket", help="a model folder or hub id to do it on instead")
    add_fetch_argument(parser)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the demo's data (default 0)")
    parser.add_argument("--json", action="store_true", help="headless: print the result as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Make the project, then show it or climb it."""
    from rung.engine.guide.demo import make_demo
    from rung.engine.jobs.stack import require_stack
    from rung.engine.project import is_project
    from rung.tui.commands.screens import open_project, require_a_usable_terminal
    from rung.tui.settings.interpreter import keep_python, worker_python

    if not args.headless:
        require_a_usable_terminal()
    kind, directory = _kind_and_directory(args.what)
    # Before a folder is made.
    require_stack("train", worker_python(directory), directory)
    progress = Progress()
    if is_project(directory):
        progress.line(f"{directory} is a project already; it goes on as it is")
    root = make_demo(kind, directory, args.model, args.seed)
    keep_python(root)
    if not args.headless:
        return open_project(root)
    from rung.tui.commands.climbing import climb, print_climb

    code, result = climb(root, progress, fetch=args.fetch)
    if result is not None:
        if args.json:
            print_json(result)
        else:
            print_climb(root, result)
    return code


def _kind_and_directory(words: list[str]) -> tuple[str, Path]:
    kind = words[0] if words and words[0] in KINDS else "format"
    rest = words[1:] if words and words[0] in KINDS else words
    if len(rest) > 1:
        raise EngineError(f"There is no demo {rest[0]!r}", hint=f"rung demo [{'|'.join(KINDS)}] [DIR]")
    return kind, Path(rest[0] if rest else f"rung-demo-{kind}")
