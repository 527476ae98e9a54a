"""rung export: a run's result as a folder that plain transformers or peft load, with a model card."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.tui.commands.output import Progress, print_json
from rung.tui.text.words import gibibytes, printable

if TYPE_CHECKING:
    from rung.engine.results.exports import Errand

DTYPES = ("auto", "float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung export` takes."""
    add_export_arguments(parser)
    parser.add_argument("--merged", action="store_true", help="the adapter made part of its base's weights")
    parser.epilog = (
        "No GGUF: the gguf package writes the tensors it is handed and converts no model. llama.cpp's "
        "convert_hf_to_gguf.py does; it takes the folder that --merged writes."
    )


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, --to, --dtype and --json, which `rung adapters merge` has too."""
    parser.add_argument("run", metavar="RUN", help="a run's id, a unique part of it, its folder, or last")
    parser.add_argument("--to", type=Path, metavar="DIR", help="a new or empty folder (exports/RUN in the project)")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="of a merged model's weights (auto: as the base's files have them)",
    )
    parser.add_argument("--json", action="store_true", help="print what was written as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Export in a worker and say what was written where."""
    return export(args, merged=args.merged)


def export(args: argparse.Namespace, *, merged: bool) -> int:
    """Export or merge the run that was named."""
    from rung.engine.results.exports import export_errand
    from rung.engine.training.launch import root_of
    from rung.tui.commands.project import wanted_run
    from rung.tui.settings.interpreter import worker_python

    folder = wanted_run(args.run)
    root = root_of(folder)
    python = worker_python(root)
    errand = export_errand(root, folder, to=args.to, merged=merged, dtype=args.dtype, python=python)
    done = do(errand)
    if args.json:
        print_json(done)
    else:
        print(f"{'merged model' if done['merged'] else done['kind']} {done['path']}, {gibibytes(done['bytes'])}")
        for note in done["notes"]:
            print(f"  {printable(note)}")
    return 0


def do(errand: "Errand") -> dict[str, Any]:
    """Have a worker do the errand, its phases on stderr; Ctrl-C ends it and leaves nothing."""
    from rung.engine.results.exports import ErrandWorker

    progress = Progress()
    show = progress.status if progress.live else progress.line
    try:
        return ErrandWorker(errand).run(lambda phase: show(f"{phase} …"))
    finally:
        progress.close()
