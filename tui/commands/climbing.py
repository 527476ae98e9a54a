"""Climbing the ladder from the command line: following the worker, and printing the verdict and what it rests on."""

from pathlib import Path
from typing import Any

from rung.engine.core.files import read_json
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.jobs.reader import RunReader, read_run
from rung.engine.ladder.launch import RESULT_FILE, climb_folder, start_climb
from rung.tui.commands.following import counted_interrupts
from rung.tui.commands.job import say_how_it_went, watch_over
from rung.tui.commands.output import Progress
from rung.tui.settings.interpreter import worker_python
from rung.tui.text.words import printable


def climb(root: Path, progress: Progress, **options: Any) -> tuple[int, dict[str, Any] | None]:
    """Climb, or go on with a climb that was broken off; gives the exit code and the result, None without one.

    `options` are those of `rung.engine.ladder.launch.start_climb`.
    """
    earlier, _ = read_run(climb_folder(root))
    with counted_interrupts() as interrupts:
        folder = start_climb(root, python=worker_python(root), **options)
        reader = RunReader(folder)
        watch_over(reader, progress, interrupts, earlier.sequence)
        status = reader.status()
        if status == "finished":
            return 0, read_json(folder.path / RESULT_FILE)
        say_how_it_went(
            folder,
            status,
            reader.state,
            progress,
            watch="it goes on in the background; the same command follows it",
            go_on="the same command goes on from here",
        )
        return (130 if interrupts.count else 1), None


def print_climb(root: Path, result: dict[str, Any]) -> None:
    """The report, and of every run what it changed and where it lies."""
    report = climb_folder(root).path / "report.md"
    print(printable(report.read_text(encoding="utf-8")))
    for run in result["runs"]:
        _print_run(find_run(root, run))
    print(f"report    {report}")


def _print_run(folder: RunFolder) -> None:
    result = read_run(folder)[0].result
    print(f"run       {folder.path}")
    for key in ("outcome", "worse"):
        if result.get(key):
            print(printable(f"          {result[key]}"))
