"""rung fetch: bring a model from the hub into its cache, in a process of its own that can be gone on with."""

import argparse
import shlex
import time
from collections.abc import Callable
from typing import Any

from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import RunReader
from rung.tui.commands.following import Interrupts, follow
from rung.tui.commands.output import Progress, print_json
from rung.tui.text.phases import download_line
from rung.tui.text.words import count, gibibytes, printable

LINE_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung fetch` takes."""
    parser.add_argument("model", metavar="MODEL", help="a hub id, for example Qwen/Qwen3-0.6B")
    parser.add_argument("--revision", metavar="R", help="a branch, tag or commit (the default branch)")
    parser.add_argument("--code", action="store_true", help="its Python files too, for model.trust_remote_code")
    parser.add_argument(
        "--detach", action="store_true", help="start it and return at once; the same command follows it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON value")
    parser.epilog = (
        "Ctrl-C ends the download and keeps what has come; the same command goes on from there. Of a branch that has "
        "moved on, the files that changed are brought. The login is the hub's own: hf auth login, or HF_TOKEN."
    )


def run(args: argparse.Namespace) -> int:
    """Bring the model: 0 when it is here whole, 1 when it can't be brought, 130 after Ctrl-C."""
    from rung.engine.hub.fetch import start_fetch
    from rung.tui.commands.following import counted_interrupts
    from rung.tui.commands.project import current_root
    from rung.tui.settings.interpreter import worker_python

    progress = Progress()
    with counted_interrupts() as interrupts:
        folder = start_fetch(args.model, args.revision, worker_python(current_root()), code=args.code)
        reader = RunReader(folder)
        if not args.detach:
            _watch(args.model, reader, progress, interrupts)
        reader.catch_up()
        status = reader.status()
    _say_how_it_went(args.model, reader, status, progress)
    result = _result(args, folder, status)
    if args.json:
        print_json(result)
    elif status == "finished":
        _print_result(result)
    if interrupts.count and status != "finished":
        return 130
    going = status in ("queued", "running", "stopping")
    return 0 if status == "finished" or (args.detach and going) else 1


def _watch(model: str, reader: RunReader, progress: Progress, interrupts: Interrupts) -> None:
    """Show how far it is until it ends; the first Ctrl-C asks it to end, the second ends only the showing."""
    from rung.engine.jobs.requests import request

    asked, shown, shown_at = False, "", float("-inf")
    for state in follow(reader, _warnings_to(progress)):
        line = f"{model}: {download_line(state)}" if state.phase else ""
        progress.status(line)
        now = time.monotonic()
        if not progress.live and line != shown and now - shown_at >= LINE_SECONDS:
            progress.line(line)
            shown, shown_at = line, now
        if interrupts.count and not asked:
            asked = True
            request(reader.folder, "stop")
            progress.line("ending it; what has come is kept")
        elif interrupts.count > 1:
            break
    progress.close()


def _warnings_to(progress: Progress) -> Callable[[list[dict[str, Any]], RunState], None]:
    def show(events: list[dict[str, Any]], state: RunState) -> None:
        for event in events:
            if event.get("type") == "warning":
                progress.line(f"warning: {event.get('message')}")

    return show


def _say_how_it_went(model: str, reader: RunReader, status: str, progress: Progress) -> None:
    from rung.engine.jobs.reader import log_tail

    result = reader.state.result
    for key in ("message", "details", "hint"):
        if status == "failed" and result.get(key):
            progress.line(("hint: " if key == "hint" else "") + str(result[key]))
    if status == "crashed":
        progress.line(f"the download is gone without a last word; the end of {reader.folder.log}:")
        progress.line(log_tail(reader.folder, 2000))
    if status in ("queued", "running", "stopping"):
        progress.line(f"it goes on in the background; rung fetch {shlex.quote(model)} follows it")
    elif status == "crashed" or result.get("resumable"):
        progress.line(f"what has come is kept: rung fetch {shlex.quote(model)} goes on from there")


def _result(args: argparse.Namespace, folder: RunFolder, status: str) -> dict[str, Any]:
    from rung.engine.hub.fetch import fetch_result

    named = {"model": args.model, "revision": args.revision}
    nothing = {"commit": None, "path": None, "files": None, "bytes": None, "received": None}
    return named | ((fetch_result(folder) if status == "finished" else None) or nothing) | {"state": status}


def _print_result(result: dict[str, Any]) -> None:
    came = f"{gibibytes(result['received'])} came now" if result["received"] else "all of it was here"
    print(f"model   {printable(result['model'])}")
    print(f"commit  {result['commit']}")
    print(f"size    {gibibytes(result['bytes'])} in {count(result['files'])} files, {came}")
    print(f"path    {result['path']}")
