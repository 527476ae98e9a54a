"""rung runs: the project's runs, newest last."""

import argparse
import time
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.reader import read_run
from rung.engine.machine.oom_kills import KILLED, KILLED_HINT, was_probably_killed
from rung.tui.commands.output import print_json, print_table
from rung.tui.commands.project import current_root
from rung.tui.text.words import one_line, printable

HEADER = ("run", "state", "method", "step", "loss", "started", "name", "tags")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung runs` takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """List the runs with their states."""
    root = current_root()
    runs = [(folder, *read_run(folder)) for folder in list_runs(root)]
    rows = [_row(*found) for found in runs]
    if args.json:
        print_json(rows)
    elif rows:
        print_table(
            ("run", "state", "method", "step", "loss", "started", "name", "tags"), [_cells(row) for row in rows]
        )
        _say_worse(rows)
        _say_killed([folder for folder, state, status in runs if status == "crashed" and _was_killed(state)])
    else:
        print(f"no runs yet in {root}; rung run RECIPE starts one")
    return 0


def _was_killed(state: RunState) -> bool:
    return was_probably_killed(state.host, state.oom_kills)


def _say_worse(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["worse"]:
            print(printable(f"{row['run']} {row['worse']}"))


def _say_killed(runs: list[RunFolder]) -> None:
    for folder in runs:
        print(f"{folder.id} crashed: {KILLED}")
    if runs:
        print(f"hint: {KILLED_HINT}")


def _row(folder: RunFolder, state: RunState, status: str) -> dict[str, Any]:
    name, tags = _name_and_tags(folder)
    loss = state.curves.get("loss")
    return {
        "run": folder.id,
        "path": str(folder.path),
        "state": status,
        "method": folder.method,
        "step": state.step,
        "steps": state.total_steps,
        "loss": None if loss is None else loss.last,
        "started": state.started,
        "outcome": state.result.get("outcome") or None,
        "worse": state.result.get("worse") or None,
        "name": name,
        "tags": tags,
    }


def _name_and_tags(folder: RunFolder) -> tuple[str | None, list[str]]:
    from rung.engine.core.yaml_text import read_yaml

    try:
        recipe, _ = read_yaml(folder.recipe)
    except EngineError:
        return None, []
    return (recipe.get("name"), recipe.get("tags") or []) if isinstance(recipe, dict) else (None, [])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    started = "–" if row["started"] is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(row["started"]))
    steps = str(row["step"]) if row["steps"] is None else f"{row['step']}/{row['steps']}"
    loss = "–" if row["loss"] is None else f"{row['loss']:.4f}"
    name = one_line(str(row["name"] or ""), 30)
    return row["run"], row["state"], row["method"], steps, loss, started, name, one_line(" ".join(row["tags"]), 30)
