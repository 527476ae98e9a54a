"""rung demo preference: what a reward model, DPO and GRPO bring, by a judge that knows neither pairs nor rewards."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.program import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.accept, pytest.mark.timeout(1_800)]


def test_the_reward_model_is_right_and_both_policies_beat_the_model_as_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(PROGRAM), "demo", "preference", str(tmp_path / "demo")]
    done = subprocess.run([*command, "--headless", "--json"], capture_output=True, text=True, timeout=1_700)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    found: dict[str, Any] = {known["method"]: known for known in result["gains"]}
    assert list(found) == ["dpo", "reward", "grpo"]
    assert found["reward"]["accuracy"]["low"] > 0.5, "beats chance on pairs that it never saw"
    assert found["reward"]["agreement"]["low"] > 0.5, "orders fresh answers as the oracle does"
    for method in ("dpo", "grpo"):
        assert found[method]["win_rate"]["low"] > 0.5, found[method]
        assert found[method]["gain"]["low"] > 0, found[method]
    report = (tmp_path / "demo" / "evaluations" / "climb" / "report.md").read_text()
    assert "## What judgments have taught" in report
