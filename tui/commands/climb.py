"""rung climb: the whole ladder without a hand on it."""

import argparse
from typing import Any

from rung.engine.ladder.spec import RUNGS
from rung.tui.commands.arguments import add_fetch_argument, number, positive, positive_int
from rung.tui.commands.output import Progress, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung climb` takes."""
    parser.add_argument("--target", metavar="X", type=number, help="score that is good enough (default: rung.yaml's)")
    parser.add_argument(
        "--stop-early", action="store_true", help="end at the first rung that clears the target, measure none above"
    )
    parser.add_argument(
        "--minutes",
        metavar="N",
        type=positive,
        help="wall time after which nothing more is begun, and training is saved",
    )
    parser.add_argument(
        "--tokens", metavar="N", type=positive_int,
        help="tokens of prompts and answers after which nothing more is begun",
    )  # fmt: skip
    parser.add_argument(
        "--learning-curve", action="store_true",
        help="train on a quarter and on half of the rows too: would more of them help?",
    )  # fmt: skip
    parser.add_argument(
        "--rung", action="append", choices=RUNGS, dest="rungs", help="climb this rung only; may be given more than once"
    )
    add_fetch_argument(parser)
    parser.add_argument("--detach", action="store_true", help="start it and return at once")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Climb, or go on with a climb that was broken off; it is a process of its own and outlives this command."""
    from rung.engine.ladder.launch import start_climb
    from rung.tui.commands.climbing import climb, print_climb
    from rung.tui.commands.project import current_root
    from rung.tui.settings.interpreter import worker_python

    root, progress = current_root(), Progress()
    if args.detach:
        print(start_climb(root, python=worker_python(root), **_options(args)).path)
        return 0
    code, result = climb(root, progress, **_options(args))
    if result is not None:
        if args.json:
            print_json(result)
        else:
            print_climb(root, result)
    return code


def _options(args: argparse.Namespace) -> dict[str, Any]:
    budget = {name: value for name in ("minutes", "tokens") if (value := getattr(args, name)) is not None}
    overrides: dict[str, Any] = {"budget": budget} if budget else {}
    if args.learning_curve:
        overrides["tune"] = {"learning_curve": [0.25, 0.5]}
    if args.target is not None:
        overrides["target"] = args.target
    rungs = [rung for rung in RUNGS if args.rungs is None or rung in args.rungs]
    return {"rungs": rungs, "stop_early": args.stop_early, "overrides": overrides, "fetch": args.fetch}
