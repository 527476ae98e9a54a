"""rung watch: follow a run as plain lines, as JSON lines or on the Run screen; or replay a recorded log."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import EventTail, RunReader
from rung.engine.machine.oom_kills import KILLED, KILLED_HINT, was_probably_killed
from rung.tui.commands.event_lines import status_line
from rung.tui.commands.following import EventPrinter, follow
from rung.tui.commands.job import exit_code
from rung.tui.commands.output import Progress, print_json
from rung.tui.text.words import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung watch` takes."""
    parser.add_argument(
        "run", metavar="RUN", nargs="?", default="last",
        help="a run's id, a unique part of it, its folder, or last; or climb, for the project's climb",
    )  # fmt: skip
    parser.add_argument("--replay", metavar="EVENTS", type=Path, help="show a recorded events.jsonl instead of a run")
    parser.add_argument("--json", action="store_true", help="print each event as one JSON line")
    parser.add_argument("--screen", action="store_true", help="open the Run screen")


def run(args: argparse.Namespace) -> int:
    """Follow until the run ends; Ctrl-C ends only the watching."""
    if args.screen:
        from rung.tui.commands.screens import open_run_screen

        return open_run_screen(args.run, args.replay)
    if args.replay is not None:
        return _replay(args.replay, as_json=args.json)
    reader = RunReader(_wanted(args.run))
    progress = Progress()
    show = _print_json_lines if args.json else EventPrinter(_line_over(progress), step_seconds=0.0)
    for state in follow(reader, show):
        if not args.json:
            progress.status(status_line(state))
    progress.close()
    return _end(reader.status(), reader.state, as_json=args.json)


def _wanted(name: str) -> RunFolder:
    """The run, or the project's climb, which is followed as a run is."""
    from rung.engine.ladder.launch import climb_folder
    from rung.tui.commands.project import current_root, wanted_run

    if name != "climb":
        return wanted_run(name)
    folder = climb_folder(current_root())
    if not folder.events.exists():
        raise EngineError("This project has no climb yet", hint="rung climb begins one")
    return folder


def _replay(path: Path, *, as_json: bool) -> int:
    if not path.is_file():
        raise EngineError(f"There is no recording {path}", hint="a run's events are in its folder: events.jsonl")
    tail, state = EventTail(path), RunState()
    show = _print_json_lines if as_json else EventPrinter(print, step_seconds=0.0)
    while events := tail.read():
        for event in events:
            apply(state, event)
            show([event], state)
    return _end(state.status, state, as_json=as_json)


def _line_over(progress: Progress) -> Any:
    def write(line: str) -> None:
        progress.close()
        print(printable(line), flush=True)

    return write


def _print_json_lines(events: list[dict[str, Any]], state: RunState) -> None:
    for event in events:
        print_json(event)


def _end(status: str, state: RunState, *, as_json: bool) -> int:
    if status == "crashed":
        # No event says so, and with --json stdout holds events only.
        out = sys.stderr if as_json else sys.stdout
        print("crashed: the worker is gone without a last word", file=out)
        if was_probably_killed(state.host, state.oom_kills):
            print(f"{KILLED}\nhint: {KILLED_HINT}", file=out)
    return exit_code(status, state)
