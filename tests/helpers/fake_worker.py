"""A worker that trains nothing: it speaks the protocol of a run folder, for tests where only that matters.

`fake_python` makes an executable that stands where an interpreter is wanted (a recipe's worker_python).
"""

import json
import sys
from pathlib import Path

from tests.helpers.program import ROOT

CLIMB_RESULT = {
    "verdict": {"rung": "prompt", "candidate": "0123456789ab", "reasons": ["it clears the target"]},
    "scoreboard": [],
    "pairs": [],
    "runs": [],
}


def fake_python(directory: Path, *, steps: int, fail_at: int | None = None) -> Path:
    """An executable that takes a worker's arguments and makes `steps` steps; 0: goes on until it is asked to end."""
    path = directory / "fake-python"
    path.write_text(
        f"#!{sys.executable} -P\n"
        "import os, sys\n"
        # Asked what is installed there, as every interpreter is before a worker is started, it answers as this one.
        "if sys.argv[1:2] == ['-c']: os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
        f"sys.path[:0] = [{str(ROOT)!r}]\n"
        f"from tests.helpers.fake_worker import work\n"
        f"sys.exit(work(sys.argv[-1], {steps}, {fail_at}))\n"
    )
    path.chmod(0o755)
    return path


def work(run_dir: str, steps: int, fail_at: int | None) -> int:
    """What that executable does; in the folder of a climb it leaves CLIMB_RESULT."""
    import time

    from rung.engine.jobs.events import (
        Cancelled,
        Event,
        Failed,
        Finished,
        Phase,
        Queued,
        Resumed,
        Started,
        Step,
        Stopped,
        StopRequested,
    )
    from rung.engine.jobs.folder import RunFolder
    from rung.engine.jobs.lock import try_lock
    from rung.engine.jobs.reader import read_run
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.jobs.requests import take_requests

    folder = RunFolder(Path(run_dir))
    earlier, _ = read_run(folder)
    held = try_lock(folder.lock)
    assert held is not None
    reporter = Reporter(folder.events)
    opening: list[Event] = [Queued("cpu"), Started("here", 1, ["cpu"], 1)]
    opening += [Resumed(earlier.step)] if earlier.step else []
    for event in (*opening, Phase("train", 0, steps or None, "steps")):
        reporter.write(event)
    step = earlier.step
    while True:
        step += 1
        if step == fail_at:
            reporter.write(Failed("The disk is full", "checkpoints/step-3", "free some space", resumable=True))
            return 1
        reporter.write(Step(step, step / 10, 2.0 / step, 1e-4))
        asked = take_requests(folder)
        if "cancel" in asked:
            reporter.write(Cancelled(step, resumable=False))
            return 0
        if "stop" in asked:
            reporter.write(StopRequested(asked["stop"]))
            reporter.write(Stopped(step, resumable=True))
            return 0
        if steps and step >= steps:
            if (folder.path / "job.json").exists():
                (folder.path / "report.md").write_text("# the verdict of a climb\n")
                (folder.path / "result.json").write_text(json.dumps(CLIMB_RESULT))
            else:
                (folder.path / "adapter").mkdir()
            reporter.write(Finished(step, {"loss": 2.0 / step, "n": 8}, "adapter", f"step {step}"))
            return 0
        time.sleep(0.01)
