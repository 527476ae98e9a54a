"""Attending a run that this command started: following it, asking it to stop, and saying how it ended."""

from typing import Any

from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import RunReader, log_tail
from rung.engine.jobs.requests import request
from rung.engine.machine.oom_kills import KILLED, KILLED_HINT, was_probably_killed
from rung.tui.commands.event_lines import status_line
from rung.tui.commands.following import EventPrinter, Interrupts, follow
from rung.tui.commands.output import Progress, print_json
from rung.tui.text.words import printable

LOG_LINES = 15


def attend(
    folder: RunFolder, progress: Progress, interrupts: Interrupts, *, detach: bool, as_json: bool, after: int = -1
) -> int:
    """Follow the run to its end, or leave it running, then print the result; gives the exit code.

    The first Ctrl-C asks the run to save and stop, the second leaves it to that. `after` is the last sequence number
    of an earlier sitting.
    """
    reader = RunReader(folder)
    if not detach:
        watch_over(reader, progress, interrupts, after)
    reader.catch_up()
    status = reader.status()
    say_how_it_went(
        folder,
        status,
        reader.state,
        progress,
        watch=f"it goes on in the background; rung watch {folder.id} follows it",
        go_on=f"rung resume {folder.id} goes on from its last checkpoint",
    )
    if as_json:
        print_json(_result(folder, status, reader.state))
    else:
        _print_result(folder, status, reader.state)
    if interrupts.count and status != "finished":
        return 130
    return 0 if detach else exit_code(status, reader.state)


def exit_code(status: str, state: RunState) -> int:
    """0 for a run that came to its end, or to where its recipe stops it; 1 for one that did not."""
    as_planned = status == "stopped" and state.result.get("reason")
    return 0 if status == "finished" or as_planned else 1


def watch_over(reader: RunReader, progress: Progress, interrupts: Interrupts, after: int) -> None:
    """Show the job until it ends; the first Ctrl-C asks it to save and stop, the second ends only the showing."""
    show = EventPrinter(progress.line, step_seconds=float("inf") if progress.live else 5.0)

    def show_this_sitting(events: list[dict[str, Any]], state: RunState) -> None:
        # Why it failed is said once, in full, at the end.
        show([event for event in events if event.get("seq", 0) > after and event.get("type") != "failed"], state)

    asked = False
    for state in follow(reader, show_this_sitting, after):
        progress.status(status_line(state))
        if interrupts.count and not asked:
            asked = True
            request(reader.folder, "stop")
            progress.line("asked it to save and stop; Ctrl-C again leaves it to that")
        elif interrupts.count > 1:
            break
    progress.close()


def say_how_it_went(
    folder: RunFolder, status: str, state: RunState, progress: Progress, *, watch: str, go_on: str
) -> None:
    """What there is to say on stderr: why it failed, where it crashed, how one watches a live one and goes on."""
    if status == "failed":
        for key in ("message", "details", "hint"):
            if state.result.get(key):
                progress.line(("hint: " if key == "hint" else "") + str(state.result[key]))
    elif status == "crashed":
        progress.line(f"the worker is gone without a last word; the end of {folder.log}:")
        for line in log_tail(folder).splitlines()[-LOG_LINES:]:
            progress.line(f"  {line}")
        if was_probably_killed(state.host, state.oom_kills):
            progress.line(KILLED)
            progress.line(f"hint: {KILLED_HINT}")
    elif state.result.get("reason"):
        progress.line(str(state.result["reason"]))
        return
    if status in ("queued", "running", "stopping"):
        progress.line(watch)
    elif status in ("stopped", "preempted", "crashed") or state.result.get("resumable"):
        progress.line(go_on)


def _result(folder: RunFolder, status: str, state: RunState) -> dict[str, Any]:
    artifact = folder.artifact() if status == "finished" else None
    return {
        "run": folder.id,
        "path": str(folder.path),
        "state": status,
        "metrics": state.result.get("metrics") or {},
        "outcome": state.result.get("outcome") or None,
        "worse": state.result.get("worse") or None,
        "artifact": None if artifact is None else str(artifact),
    }


def _print_result(folder: RunFolder, status: str, state: RunState) -> None:
    rows = [("run", folder.id), ("state", status)]
    if state.result.get("outcome"):
        rows.append(("measured", str(state.result["outcome"])))
        if state.result.get("worse"):
            rows.append(("warning", str(state.result["worse"])))
    else:  # Not a training run, or one from before outcomes were written.
        for name, value in (state.result.get("metrics") or {}).items():
            rows.append((name, f"{value:.4f}" if isinstance(value, float) else str(value)))
    if status == "finished" and (artifact := folder.artifact()) is not None:
        rows.append(("artifact", str(artifact)))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {printable(text)}")
