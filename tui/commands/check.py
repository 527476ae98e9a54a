"""rung check: what a data file holds, or what would stop a recipe from being launched."""

import argparse
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from tui.commands.arguments import positive_int
from tui.commands.output import print_json
from tui.text import count, duration, gibibytes, printable

MOST_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung check` takes."""
    parser.add_argument("path", metavar="PATH", type=Path, help="a recipe (.yaml), or a data file or folder")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides", help="override a recipe's field"
    )
    parser.add_argument("--model", metavar="M", help="data: whose tokenizer counts (the project's, or pocket)")
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="data: longest example, in tokens")
    parser.add_argument("--shape", default="auto", metavar="S", help="data: what a row holds, instead of detecting it")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 when something in it would stop a launch."""
    if not args.path.exists():
        raise EngineError(f"{args.path} does not exist")
    is_recipe = args.path.suffix in (".yaml", ".yml")
    report = _check_recipe(args) if is_recipe else _check_data(args)
    if args.json:
        print_json(report)
    elif is_recipe:
        _print_recipe(report)
    else:
        _print_data(report)
    return 1 if is_recipe and report["problems"] else 0


def _check_recipe(args: argparse.Namespace) -> dict[str, Any]:
    from engine.check import check_recipe
    from engine.project import project_root
    from engine.recipe.load import load_recipe
    from tui.settings import load_settings

    overrides, python = list(args.overrides), load_settings().worker_python
    if python and load_recipe(args.path, overrides).worker_python is None:
        overrides.append(f"worker_python={python}")
    return check_recipe(args.path, project_root(args.path.resolve().parent), overrides)


def _check_data(args: argparse.Namespace) -> dict[str, Any]:
    from engine.check import check_data
    from engine.project import is_project, project_root
    from engine.project.load import load_project
    from tui.settings import load_settings

    root = project_root(Path.cwd())
    model: dict[str, Any] | None = None
    if args.model is not None:
        model = {"name": str(Path(args.model).resolve()) if Path(args.model).is_dir() else args.model}
    elif is_project(root):
        model = load_project(root).model.model_dump()
    python = load_settings().worker_python or None
    return check_data(args.path.resolve(), root, model, args.max_length, python, args.shape)


def _print_recipe(report: dict[str, Any]) -> None:
    print(f"method    {report['method']}")
    for split, data in report["data"].items():
        print(f"{split}:")
        _print_data(data)
    if forecast := report.get("forecast"):
        parts = ", ".join(f"{name} {gibibytes(size)}" for name, size in forecast["memory_bytes"].items())
        print(f"memory    {gibibytes(forecast['total_bytes'])} ({parts})")
        print(f"time      {duration(forecast.get('seconds'))}")
    for problem in report["problems"]:
        print(f"STOPS     {problem['field']}: {printable(problem['reason'])}")
        if problem.get("hint"):
            print(f"          {printable(problem['hint'])}")
    stops = len(report["problems"])
    print(f"{stops} {'problem' if stops == 1 else 'problems'} would stop a launch" if stops else "ready to launch")


def _print_data(report: dict[str, Any]) -> None:
    print(f"shape     {report['shape']}")
    print(f"rows      {count(report['rows'])}, used {count(report['used'])}, truncated {count(report['truncated'])}")
    trained, tokens = report["trained_tokens"], report.get("tokens")
    print(f"trained   {count(trained)} tokens" + (f" of {count(tokens)}" if tokens else ""))
    if report.get("longest"):
        print(f"lengths   median {count(report.get('median_length'))}, longest {count(report['longest'])} tokens")
    for note in report.get("notes") or []:
        print(f"note      {printable(note)}")
    for problem in report["problems"][:MOST_SHOWN]:
        print(f"problem   line {problem['line']}, {problem['field']}: {printable(problem['reason'])}")
    if len(report["problems"]) > MOST_SHOWN:
        print(f"          and {len(report['problems']) - MOST_SHOWN} more; --json lists all")
