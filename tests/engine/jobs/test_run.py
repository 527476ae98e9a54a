"""A run as a notebook reads it: state, curves, recipe, events; found by name; and what grows is read on."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

import rung
from rung import EngineError, Run
from tests.helpers.program import ROOT
from tests.helpers.recorded import FINISHED_RUN, write_events, write_run

RUN = "20260101-000000-sft-aaaa"


def test_a_run_that_is_over(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN, "method: sft\nseed: 7\n")
    run = Run("last", tmp_path)
    assert (run.id, run.path, run.status) == (RUN, folder.path, "finished")
    assert run.recipe == {"method": "sft", "seed": 7}
    steps, values = run.curve("loss")
    assert steps == [1.0, 2.0, 4.0] and values[:2] == [2.0, 1.5] and math.isnan(values[2])
    assert run.curve("evaluation/loss") == ([2.0], [1.4])
    assert {"loss", "learning_rate", "mean_token_accuracy", "evaluation/loss"} <= set(run.curves)
    assert [event["type"] for event in run.events()][:2] == ["queued", "started"]
    assert run.result["artifact"] == "adapter"
    assert run.artifact is None
    (folder.path / "adapter").mkdir()
    assert run.artifact == folder.path / "adapter"


def test_a_run_that_goes_on_is_read_further(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN[:4])
    run = Run(RUN[-4:], tmp_path)
    assert run.curve("loss") == ([1.0], [2.0])
    assert run.status == "crashed", "nobody holds its lock"
    with folder.events.open("a") as stream:
        stream.write(write_events(tmp_path / "more.jsonl", FINISHED_RUN).read_text().split("\n", 4)[4])
    assert run.refresh().curve("loss")[0] == [1.0, 2.0, 4.0]
    assert run.status == "finished"


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, RUN, FINISHED_RUN)
    with pytest.raises(EngineError, match="No run is called 'other'"):
        Run("other", tmp_path)
    with pytest.raises(KeyError):
        Run(RUN, tmp_path).curve("no such curve")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        rung.nothing  # noqa: B018
    (tmp_path / "runs" / "20260101-000001-sft-bbbb").mkdir()  # Its recipe is not written yet.
    assert [run.id for run in Run.all(tmp_path)] == [RUN]
    assert Run.all(tmp_path / "elsewhere") == []


def test_the_documented_lines_run_beside_an_engine_of_the_users_own(tmp_path: Path) -> None:
    """The first example of docs/extending.md, as it stands there."""
    write_run(tmp_path, RUN, FINISHED_RUN)
    (tmp_path / "engine.py").write_text("raise SystemExit('the wrong module')")
    example = (ROOT / "docs" / "extending.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "notebook.py").write_text(f"import sys\nsys.path.append({str(ROOT)!r})\n{example}")
    done = subprocess.run([sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{RUN} finished" in done.stdout and "1.5" in done.stdout
