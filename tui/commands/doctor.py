"""rung doctor: what this machine has, and what will work on it."""

import argparse

from rung.engine.guide.doctor import Terminal, doctor
from rung.engine.machine.interpreters import Interpreter
from rung.tui.commands.output import print_json
from rung.tui.text.words import gibibytes, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung doctor` takes."""
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Look, and say; 0 even where things are missing, since looking is what was asked."""
    from rung.tui.commands.project import current_root
    from rung.tui.settings.interpreter import worker_python

    root = current_root()
    report = doctor(root, [worker_python(root) or ""])
    if args.json:
        print_json(report.to_json())
        return 0
    print(f"machine      {report.cores} cores, {gibibytes(report.memory.total)} memory, {_in_use(report.memory.used)}")
    print(f"NVIDIA       {f'driver {report.driver}' if report.driver else 'no driver'}")
    for gpu in report.gpus:
        number = "" if gpu.index is None else f"{gpu.index} "
        print(f"  {number}{printable(gpu.name)}  {gibibytes(gpu.total)}, {_in_use(gpu.used)}  {gpu.uuid}")
        if (run := report.training_on.get(gpu.uuid)) is not None:
            print(f"    trains {printable(run)}")
    print(f"terminal     {_terminal_words(report.terminal)}")
    print(f"model cache  {report.model_cache.path}: {', '.join(report.model_cache.models[:6]) or 'no models'}")
    print("interpreters")
    for interpreter in report.interpreters:
        _print_interpreter(interpreter)
    print("what will work")
    for finding in report.findings:
        print(f"  {'yes' if finding.works else 'NO ':<4} {finding.what}: {printable(finding.why)}")
        if finding.hint:
            print(f"       {finding.hint}")
    return 0


def _terminal_words(terminal: Terminal) -> str:
    tmux = "installed" if terminal.tmux_installed else "not installed"
    size = f"{terminal.columns}x{terminal.lines}"
    return f"{terminal.term or 'TERM not set'}, {terminal.encoding}, {terminal.colours} colours, {size}, tmux {tmux}"


def _in_use(used: int | None) -> str:
    return f"{gibibytes(used)} in use"


def _print_interpreter(interpreter: Interpreter) -> None:
    print(f"  {interpreter.path} ({interpreter.origin})")
    if interpreter.error:
        print(f"    can't be asked: {printable(interpreter.error)}")
        return
    packages = ("torch", "transformers", "trl", "peft", "bitsandbytes", "lancedb")
    versions = [f"{name} {interpreter.packages[name]}" for name in packages if name in interpreter.packages]
    print(f"    python {interpreter.python}  {'  '.join(versions)}")
    able = [name for name, works in interpreter.can.items() if works]
    print(f"    can: {', '.join(able) or 'none of the training, retrieval and scoring'}")
