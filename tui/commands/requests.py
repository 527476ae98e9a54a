"""What `rung stop` and `rung cancel` share: leaving a request for a run that is going on."""

import argparse
from typing import Literal

from rung.engine.core.errors import EngineError
from rung.engine.jobs.reader import RunReader
from rung.engine.jobs.requests import request
from rung.tui.commands.event_lines import status_line
from rung.tui.commands.following import follow
from rung.tui.commands.output import Progress
from rung.tui.commands.project import wanted_run


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN and --wait."""
    parser.add_argument("run", metavar="RUN", help="a run's id, a unique part of it, its folder, or last")
    parser.add_argument("--wait", action="store_true", help="return when the run has ended")


def ask(wanted: str, kind: Literal["stop", "cancel"], *, wait: bool) -> int:
    """Leave the request; with `wait`, return when the run has ended. Raises EngineError for a run that is over."""
    folder = wanted_run(wanted)
    reader = RunReader(folder)
    reader.catch_up()
    status = reader.status()
    if status not in ("queued", "running", "stopping"):
        raise EngineError(f"Run {folder.id} has ended already: it is {status}")
    request(folder, kind)
    progress = Progress()
    progress.line(f"asked {folder.id} to {'save and stop' if kind == 'stop' else 'end without saving'}")
    if wait:
        for state in follow(reader, lambda events, state: None):
            progress.status(status_line(state))
        progress.close()
        print(f"{folder.id} {reader.status()}")
    return 0
