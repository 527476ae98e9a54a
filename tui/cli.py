"""The command line: finds the command, loads only its file, and gives its exit code."""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError


@dataclass(frozen=True)
class Command:
    """One line of the table below: the file in tui/commands, the heading it stands under, and its help."""

    module: str
    group: str
    help: str


START, LADDER, RUNS, LOOK = "Start", "Ladder", "Runs", "Look"

# A new command is a new file in tui/commands and a line here.
COMMANDS = {
    "demo": Command("demo", START, "make a pocket project and open it, or run it without a screen"),
    "new": Command("new", START, "make a project: rung.yaml and a commented recipe"),
    "fetch": Command("fetch", START, "bring a model from the hub, and go on with what was broken off"),
    "check": Command("check", START, "read a recipe or a data file and say what would stop a launch"),
    "climb": Command("climb", LADDER, "measure prompt, RAG and fine-tuning on one held-out set, and say where to stop"),
    "eval": Command("eval", LADDER, "score one candidate on the held-out rows"),
    "scoreboard": Command("scoreboard", LADDER, "every candidate with its interval, and the verdict"),
    "run": Command("run", RUNS, "start a recipe and follow it"),
    "runs": Command("runs", RUNS, "list the project's runs"),
    "watch": Command("watch", RUNS, "follow a run, or replay a recorded one"),
    "stop": Command("stop", RUNS, "let a run save, then end"),
    "cancel": Command("cancel", RUNS, "end a run without saving"),
    "resume": Command("resume", RUNS, "go on from the last checkpoint"),
    "adapters": Command("adapters", LOOK, "what was trained on each base; merge one, add several up"),
    "export": Command("export", LOOK, "a result as a folder for transformers or peft, with a model card"),
    "compare": Command("compare", LOOK, "answer one prompt by the base and by tuned models"),
    "doctor": Command("doctor", LOOK, "what this machine has, and what will work on it"),
}


STARTS_WORKERS = frozenset(
    {"demo", "fetch", "check", "climb", "eval", "run", "resume", "adapters", "export", "compare"}
)


def main(argv: Sequence[str]) -> int:
    """Run one command line; EngineError, KeyboardInterrupt and BrokenPipeError are the caller's to show."""
    _never_fail_on_encoding()
    position = _command_position(argv)
    try:
        options = _top_parser().parse_args(argv[:position])
        if options.project is not None:
            _enter(options.project)
        if options.help:
            print(_help())
            return 0
        if position == len(argv):
            return _screens()
        return _run_command(argv[position], argv[position + 1 :])
    except SystemExit as ended:
        # argparse ends the process on --help (0) and on bad usage (2), having said why.
        return ended.code if isinstance(ended.code, int) else 2


def _run_command(name: str, arguments: Sequence[str]) -> int:
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
        raise EngineError(
            f"{name!r} is not a command of rung",
            hint=f"did you mean {' or '.join(near)}?" if near else "rung --help lists the commands",
        )
    module = importlib.import_module(f"rung.tui.commands.{command.module}")
    parser = argparse.ArgumentParser(prog=f"rung {name}", description=f"rung {name}: {command.help}.")
    module.add_arguments(parser)
    if name in STARTS_WORKERS:
        parser.add_argument(
            "--python", metavar="PATH", type=Path,
            help="interpreter of the workers, with the training stack; a project keeps it (worker_python in rung.yaml)",
        )  # fmt: skip
    args = parser.parse_args(arguments)
    if name in STARTS_WORKERS and args.python is not None:
        from rung.tui.settings.interpreter import use_python

        use_python(args.python, _root_of(args))
    code: int = module.run(args)
    return code


def _root_of(args: argparse.Namespace) -> Path:
    """The project that a command is about: that of the recipe it names, else the one in this folder."""
    from rung.engine.project import project_root
    from rung.tui.commands.project import current_root

    named = getattr(args, "recipe", None) or getattr(args, "path", None)
    is_recipe = isinstance(named, Path) and named.suffix in (".yaml", ".yml")
    return project_root(named.resolve().parent) if is_recipe and named is not None else current_root()


def _top_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rung", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="version", version=f"rung {_version()}")
    parser.add_argument("-C", "--project", metavar="DIR")
    return parser


def _command_position(argv: Sequence[str]) -> int:
    position = 0
    while position < len(argv) and argv[position].startswith("-"):
        position += 2 if argv[position] in ("-C", "--project") else 1
    return min(position, len(argv))


def _help() -> str:
    lines = [
        "usage: rung [-C DIR] [COMMAND …]",
        "",
        "Climb from prompt to RAG to fine-tuning, and stop at the lowest rung that works.",
        "Without a command: the screens, on the project in this folder.",
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", f"{group}:"]
        lines += [f"  {name:<11} {command.help}" for name, command in COMMANDS.items() if command.group == group]
    lines += [
        "",
        "Options:",
        "  -C DIR      work in DIR, as if started there",
        "  --version   print the version",
        "  --help      this text; after a command, that command's own",
    ]
    return "\n".join(lines)


def _screens() -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EngineError("The screens need a terminal", hint="rung --help lists the commands that work without one")
    from rung.tui.commands.screens import open_screens

    return open_screens()


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise EngineError(f"{directory} can't be entered", error.strerror or str(error)) from None


def _never_fail_on_encoding() -> None:
    """Let characters that the terminal's encoding lacks become escapes, rather than end the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("rung")
    except PackageNotFoundError:
        return "(not installed)"
