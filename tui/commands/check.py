"""rung check: what a data file holds, or what would stop a recipe from being launched."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.data.hub import is_hub_id
from rung.tui.commands.arguments import columns, positive_int
from rung.tui.commands.output import print_json
from rung.tui.text.glyphs import glyphs
from rung.tui.text.histogram import histogram_lines
from rung.tui.text.words import count, duration, gibibytes, printable

if TYPE_CHECKING:
    from rung.engine.project.schema import ProjectData

LOSS_ON = ("assistant", "last_turn", "completion", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung check` takes."""
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="a recipe (.yaml); or a data file, a folder of them, or a hub id"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides", help="override a recipe's field"
    )
    parser.add_argument("--model", metavar="M", help="data: whose tokenizer counts (the project's, or pocket)")
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="data: longest example, in tokens")
    parser.add_argument("--shape", default="auto", metavar="S", help="data: what a row holds, instead of detecting it")
    parser.add_argument(
        "--columns", metavar="FIELD=COLUMN", nargs="+", action="extend", default=[],
        help="data: which column of the file is which field, for example prompt=question",
    )  # fmt: skip
    parser.add_argument("--loss-on", choices=LOSS_ON, default="assistant", help="data: which tokens are learned")
    parser.add_argument("--split", metavar="S", help="hub data set, or a folder like one: which split (train)")
    parser.add_argument("--revision", metavar="R", help="hub data set: branch, tag or commit")
    parser.add_argument("--max-rows", type=positive_int, metavar="N", help="hub data set: read the first N rows only")
    parser.add_argument("--streaming", action="store_true", help="hub data set: download no more than is read")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 when something in it would stop a launch."""
    if not args.path.exists() and not is_hub_id(str(args.path)):
        raise EngineError(f"{args.path} does not exist")
    is_recipe = args.path.suffix in (".yaml", ".yml")
    report = _check_recipe(args) if is_recipe else _check_data(args)
    if args.json:
        print_json(report)
    elif is_recipe:
        _print_recipe(report)
    else:
        _print_data(report)
    return 1 if (report["problems"] if is_recipe else not report["used"]) else 0


def _check_recipe(args: argparse.Namespace) -> dict[str, Any]:
    from rung.engine.check.check import check_recipe
    from rung.engine.project import is_project, project_root
    from rung.engine.project.checks import note_check
    from rung.engine.project.load import load_project
    from rung.engine.recipe.load import load_recipe
    from rung.tui.settings.interpreter import asked_for, worker_python

    root, overrides = project_root(args.path.resolve().parent), list(args.overrides)
    python = asked_for() or load_recipe(args.path, overrides).worker_python or worker_python(root)
    if python is not None:
        overrides.append(f"worker_python={python}")
    report = check_recipe(args.path, root, overrides)
    if not args.overrides and is_project(root):
        project = load_project(root)
        if (root / project.tune.recipe).resolve() == args.path.resolve():
            note_check(root, "recipe", project, report)
    return report


def _check_data(args: argparse.Namespace) -> dict[str, Any]:
    from rung.engine.check.check import check_data, used_elsewhere
    from rung.engine.project import is_project, project_root
    from rung.engine.project.checks import note_check
    from rung.engine.project.load import load_project
    from rung.engine.recipe.data_needs import known_shape
    from rung.tui.settings.interpreter import worker_python

    root = project_root(Path.cwd())
    model: dict[str, Any] | None = None
    shape, named = known_shape(args.shape), columns(args.columns)
    options: dict[str, Any] = {"loss_on": args.loss_on, "split": args.split}
    options |= {"revision": args.revision, "max_rows": args.max_rows, "streaming": args.streaming}
    if is_project(root):
        project = load_project(root)
        model = project.model.model_dump()
        options |= {"held_out": project.data.test, "label": project.data.label}
        if _is_of(project.data, args.path, root):
            named = named or project.data.columns
            shape = project.data.shape if shape == "auto" else shape
            options["used_elsewhere"] = used_elsewhere(project)
    if args.model is not None:
        model = {"name": str(Path(args.model).resolve()) if Path(args.model).is_dir() else args.model}
    python = worker_python(root)
    path = args.path.resolve() if args.path.exists() else str(args.path)
    report = check_data(path, root, model, args.max_length, python, shape, columns=named, **options)
    if is_project(root) and args.model is None and args.max_length is None:
        project = load_project(root)
        if project.data.train is not None and (root / project.data.train).resolve() == args.path.resolve():
            note_check(root, "data", project, report)
    return report


def _is_of(data: "ProjectData", path: Path, root: Path) -> bool:
    own = (data.train, data.validation, data.test)
    return any(name is not None and (root / name).resolve() == path.resolve() for name in own)


def _print_recipe(report: dict[str, Any]) -> None:
    print(f"method    {report['method']}")
    for split, data in report["data"].items():
        print(f"{split}:")
        _print_data(data)
    if forecast := report.get("forecast"):
        parts = ", ".join(f"{name} {gibibytes(size)}" for name, size in forecast["memory_bytes"].items() if size)
        print(f"memory    {gibibytes(forecast['total_bytes'])} ({parts})")
        if forecast.get("free_bytes") is not None:
            print(f"device    {printable(forecast['device'])}, {gibibytes(forecast['free_bytes'])} free")
        if forecast.get("seconds") is not None:
            print(f"time      {duration(forecast['seconds'])}")
    for sentence in report.get("plan") or []:
        print(f"plan      {printable(sentence)}")
    for warning in report.get("warnings") or []:
        print(f"warning   {printable(warning)}")
    for problem in report["problems"]:
        print(f"STOPS     {problem['field']}: {printable(problem['reason'])}")
        if problem.get("hint"):
            print(f"          {printable(problem['hint'])}")
    stops = len(report["problems"])
    print(f"{stops} {'problem' if stops == 1 else 'problems'} would stop a launch" if stops else "ready to launch")


def _print_data(report: dict[str, Any]) -> None:
    print(f"shape     {report['shape']}")
    print(f"rows      {count(report['rows'])}, used {count(report['used'])}, truncated {count(report['truncated'])}")
    if renamed := report.get("columns"):
        print(f"columns   {', '.join(f'{field} is {printable(column)}' for field, column in renamed.items())}")
    if unused := [column["name"] for column in report.get("unused") or []]:
        print(f"not used  {', '.join(map(printable, unused))}")
    trained, tokens = report["trained_tokens"], report.get("tokens")
    print(f"trained   {count(trained)} tokens" + (f" of {count(tokens)}" if tokens else ""))
    for name in ("roles", "languages", "labels"):
        if counts := report.get(name):
            print(f"{name:<9} {', '.join(f'{printable(each)} {count(number)}' for each, number in counts.items())}")
    if report.get("longest"):
        print(f"lengths   median {count(report.get('median_length'))}, longest {count(report['longest'])} tokens")
    for line in histogram_lines(report.get("lengths") or [], report.get("max_length"), glyphs("ascii")):
        print(f"          {line}")
    copies = f"{count(report['duplicates'])} exact"
    if "near_duplicates" in report:
        copies += f", {count(report['near_duplicates'])} near"
    print(f"copies    {copies}")
    if report.get("held_out") is not None:
        print(f"held out  {count(report['held_out'])} rows stand in the held-out set too")
    for note in report.get("notes") or []:
        print(f"note      {printable(note)}")
    kinds = report["kinds"]
    for kind in kinds:
        _print_kind(kind)
    if any(kind["count"] > len(kind["examples"]) for kind in kinds):
        print("          --json lists all rows")
    if report["problems"]:
        print("          mend the rows that can't be used, or go on without them: the other rows are used")


def _print_kind(kind: dict[str, Any]) -> None:
    """A kind of problem with its number of rows, and the first of them."""
    rows = f"{count(kind['count'])} {'row' if kind['count'] == 1 else 'rows'}"
    if not any(example["line"] for example in kind["examples"]):
        rows = "all rows"
    print(f"{'problem' if kind['unused'] else 'look at':<9} {printable(kind['kind'])}: {rows}")
    for example in kind["examples"]:
        place = f"{_place(example)}: " if example["line"] else ""
        print(f"          {place}{printable(example['reason'])}")


def _place(problem: dict[str, Any]) -> str:
    """`rows.jsonl line 4, prompt`, without what is not known."""
    source = Path(problem.get("source") or "").name
    places = [
        f"{printable(source)} {problem.get('unit', 'line')} {problem['line']}".strip(),
        printable(problem.get("field") or ""),
    ]
    return ", ".join(place for place in places if place)
