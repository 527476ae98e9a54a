"""rung adapters: what the project's runs have trained, by base model; merging one, adding several up."""

import argparse
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rung.engine.core.errors import EngineError
from rung.tui.commands.arguments import positive_int, share
from rung.tui.commands.export import add_export_arguments, do, export
from rung.tui.commands.output import print_json, print_table
from rung.tui.text.words import gibibytes, one_line, printable

if TYPE_CHECKING:
    from rung.engine.results.adapters import TrainedAdapter
    from rung.engine.results.exports import Part

HEADER = ("run", "method", "trained", "size", "score", "general perplexity", "from", "chosen")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung adapters` takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    actions = parser.add_subparsers(dest="action", metavar="merge | combine")
    merge = actions.add_parser("merge", help="an adapter made part of its base's weights, in a new folder")
    add_export_arguments(merge)
    combine = actions.add_parser("combine", help="LoRA adapters of one base added up by weight, as a run of its own")
    combine.add_argument("parts", metavar="RUN=WEIGHT", nargs="+", help="for example sft-3f2a=0.7 sft-01be=0.3")
    combine.add_argument(
        "--how", choices=("cat", "svd", "ties_svd"), default="cat",
        help="cat (default): the exact sum, of the ranks' sum; svd: its best approximation of --rank; ties_svd: what "
        "the parts agree on, then as svd",
    )  # fmt: skip
    combine.add_argument("--rank", type=positive_int, metavar="R", help="svd, ties_svd: rank (the parts' largest)")
    combine.add_argument(
        "--density", type=share, default=0.2, metavar="D", help="ties_svd: share of each part that is kept (0.2)"
    )
    combine.add_argument("--name", metavar="TEXT", help="a name of yours, shown in lists")
    combine.add_argument("--json", action="store_true", help="print what was made as one JSON value")


def run(args: argparse.Namespace) -> int:
    """List, merge or combine."""
    if args.action == "merge":
        return export(args, merged=True)
    return _combine(args) if args.action == "combine" else _list(as_json=args.json)


def _list(*, as_json: bool) -> int:
    from rung.engine.results.adapters import list_adapters
    from rung.tui.commands.project import current_root

    root = current_root()
    adapters = list_adapters(root)
    if as_json:
        print_json([adapter.to_json() for adapter in adapters])
    elif not adapters:
        print(f"no run in {root} has a result yet; rung run RECIPE trains one")
    else:
        _print(adapters)
    return 0


def _print(adapters: "Sequence[TrainedAdapter]") -> None:
    for number, ((base, revision), group) in enumerate(groupby(adapters, lambda each: (each.base, each.revision))):
        print(("\n" if number else "") + printable(f"{base} {revision or ''}".strip()))
        rows = list(group)
        print_table(HEADER, [_cells(row) for row in rows])
        for row in rows:
            if row.trouble:
                print(f"{row.run}: {printable(row.trouble)}")


def _cells(row: "TrainedAdapter") -> tuple[str, ...]:
    from rung.engine.results.exports import sum_in_words

    standing = row.standing
    scored = f"{standing.score:.3f} [{standing.low:.3f}, {standing.high:.3f}]" if standing else "–"
    scored += " (not counted: leaks)" if standing and standing.leaked else ""
    came_from = " < ".join(row.start_from) or sum_in_words([(part["run"], part["weight"]) for part in row.combined])
    return (
        row.run, row.method, row.in_words, gibibytes(row.bytes), scored,
        "–" if row.forgetting is None else f"{row.forgetting:+.1%}", came_from or "base",
        one_line(row.chosen, 60),
    )  # fmt: skip


def _combine(args: argparse.Namespace) -> int:
    from rung.engine.results.exports import combine_errand
    from rung.tui.commands.project import current_root
    from rung.tui.settings.interpreter import worker_python

    errand = combine_errand(
        current_root(), [_part(text) for text in args.parts], how=args.how, rank=args.rank, density=args.density,
        name=args.name, python=worker_python(current_root()),
    )  # fmt: skip
    made = do(errand)
    if args.json:
        print_json(made)
    else:
        print(f"run {made['run']}, rank {made['rank']}; rung compare, eval and export take it like any other")
    return 0


def _part(text: str) -> "Part":
    from rung.engine.results.exports import Part
    from rung.tui.commands.project import wanted_run

    run, _, weight = text.rpartition("=")
    try:
        if run:
            return Part(wanted_run(run), float(weight))
        said = "it has no weight"
    except ValueError:
        said = f"{weight!r} is not a weight"
    raise EngineError(f"{text}: {said}", hint="write RUN=WEIGHT, for example sft-3f2a=0.7")
