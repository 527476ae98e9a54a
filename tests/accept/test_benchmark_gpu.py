"""The program that measures on a GPU, with toy sizes on the CPU: so that no minute on a GPU is spent on a typo."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.program import ROOT

PROGRAM = ROOT / "benchmarks" / "gpu.py"


@pytest.mark.accept
def test_parts_end_well_and_their_rows_are_kept(tmp_path: Path) -> None:
    parts = "machine,forecast-small,sft-small,evaluation"
    command = [
        sys.executable,
        str(PROGRAM),
        "--tiny",
        "--budget",
        "2000",
        "--only",
        parts,
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, "--work", str(tmp_path / "work")], capture_output=True, text=True, timeout=2300)
    assert done.returncode == 0, done.stdout[-2000:]
    rows = json.loads((tmp_path / "out" / "gpu.json").read_text())
    ended = {row["part"]: row["exit"] for row in rows if row["what"] == "ended"}
    assert ended == dict.fromkeys(parts.split(","), 0)
    rates = {
        row["what"]: row["tokens_per_second"]
        for row in rows
        if row["part"] == "sft-small" and "tokens_per_second" in row
    }
    assert len(rates) == 4 and min(rates.values()) > 0
    assert not any(row.get("error") for row in rows)
    assert "## Throughput, 1B shape" in (tmp_path / "out" / "gpu.md").read_text()


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--only", "speed"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2 and "there is no part speed; there are machine" in done.stderr
