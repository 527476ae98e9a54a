"""rung compare: one prompt answered by the base and by what was trained on it, side by side."""

import argparse
from pathlib import Path
from typing import Any

from rung.tui.commands.arguments import not_negative, positive_int, share
from rung.tui.commands.output import Progress, print_json
from rung.tui.text.phases import phase_words
from rung.tui.text.words import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung compare` takes."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="runs on one base model: ids, folders, or last")
    parser.add_argument(
        "--prompt", action="append", required=True, metavar="TEXT", dest="prompts", help="may be given more than once"
    )
    parser.add_argument("--system", metavar="TEXT", help="a system prompt before it")
    parser.add_argument("--max-new-tokens", type=positive_int, default=128, metavar="N", help="longest answer (128)")
    parser.add_argument(
        "--temperature", type=not_negative, default=0.0, metavar="T", help="0 takes the likeliest token (default)"
    )
    parser.add_argument("--top-p", type=share, default=1.0, metavar="P", help="share of likely tokens drawn from")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the drawing (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """Load the base once, answer with every candidate under the same decoding, and print the answers."""
    from rung.engine.generation.client import Decoding, compare_once
    from rung.engine.results.comparison import lineup_of, read_recipe
    from rung.engine.training.launch import root_of
    from rung.tui.commands.project import wanted_run
    from rung.tui.settings.interpreter import asked_for, worker_python

    folders = [wanted_run(name) for name in dict.fromkeys(args.runs)]
    progress = Progress()
    lineup = lineup_of(folders, root_of(folders[0]))
    for folder, weights in zip(folders, lineup.adapters.values(), strict=True):
        if folder.artifact() is None:
            progress.line(f"{folder.id} is not finished: its checkpoint {Path(weights).name} answers")
    system = [{"role": "system", "content": args.system}] if args.system else []
    prompts = [[*system, {"role": "user", "content": prompt}] for prompt in args.prompts]
    root = root_of(folders[0])
    python = asked_for() or read_recipe(folders[0]).get("worker_python") or worker_python(root)
    decoding = Decoding(args.max_new_tokens, args.temperature, args.top_p, args.seed)
    rows = compare_once(lineup, prompts, decoding, folders[0].path / "compare.log", python, _shown_on(progress))
    progress.close()
    if args.json:
        print_json(rows)
    else:
        _print_rows(rows)
    return 0


def _shown_on(progress: Progress) -> Any:
    def show(message: dict[str, Any]) -> None:
        if message["type"] == "ready" and message["base_matches_plain"]:
            shown = message["fingerprints"]["base"][:8]
            where = f"on {message['device']}, loaded in {message['seconds']:.1f} s"
            progress.line(f"base fingerprint {shown} = plain base ({where})")
        elif message["type"] == "warning":
            progress.line(printable(message["message"]))
        elif message["type"] == "phase":
            progress.status(phase_words(message, "the model"))
        elif message["type"] == "token":
            progress.status(f"{message['candidate']}: {message['text']}")

    return show


def _print_rows(rows: list[dict[str, Any]]) -> None:
    asked = None
    for row in rows:
        if row["prompt"] != asked:
            asked = row["prompt"]
            print(f"prompt: {printable(asked)}")
        rate = row["tokens"] / row["seconds"] if row["seconds"] else 0.0
        print(f"\n── {row['candidate']} · {row['tokens']} tokens · {rate:.0f} tok/s · ended by {row['stop_reason']}")
        print(printable(row["answer"]))
    print()
