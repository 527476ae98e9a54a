"""Everything that a GPU must prove about Rung, in one command of under nine minutes, without a network.

    python benchmarks/gpu.py [--out FOLDER] [--work FOLDER] [--budget SECONDS] [--only demo,sft-small] [--tiny]

Each part runs in a process of its own (benchmarks/gpu_parts.py); gpu.json and gpu.md in FOLDER are written anew after
each row, so that being cut off loses only the rest. Parts that prove function run side by side; parts that are timed
run alone, the most telling first. `--tiny` takes toy sizes and runs on the CPU,
in about eight minutes on two cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rung.engine.core.files import write_text_atomic
from rung.engine.jobs.program import worker_environment

TITLES = {
    "machine": "What is there",
    "models": "Models made",
    "demo": "The demo from end to end",
    "resume": "Stopped, killed, resumed",
    "methods": "Every method trains",
    "forecast-small": "Forecast beside measured peak, 1B shapes",
    "forecast-big": "Forecast beside measured peak, 8B shape",
    "sft-small": "Throughput, 1B shape",
    "sft-big": "Throughput, 8B shape",
    "qlora-big": "Throughput, 8B shape in 4 bits",
    "evaluation": "Answering",
    "profile": "Where a step goes",
    "memory": "Out of memory",
    "preference": "DPO and GRPO",
}
FIRST = ("machine", "models")
TOGETHER = ("demo", "resume", "methods", "forecast-small", "forecast-big")
ALONE = ("sft-small", "sft-big", "profile", "evaluation", "qlora-big", "memory", "preference")
LONGEST = 240.0  # seconds of one part


class Results:
    """All rows so far; written to gpu.json and gpu.md as they come."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._rows: list[dict[str, Any]] = []
        self._began = time.time()
        self._guard = threading.Lock()
        out.mkdir(parents=True, exist_ok=True)

    def add(self, part: str, row: dict[str, Any]) -> None:
        """Keep one row."""
        with self._guard:
            self._rows.append({"part": part, "at": round(time.time() - self._began, 1), **row})
            print(f"{self._rows[-1]['at']:6.1f} s  {part}: {_flat(row)}"[:400], flush=True)
            write_text_atomic(self._out / "gpu.json", json.dumps(self._rows, indent=1) + "\n")
            write_text_atomic(self._out / "gpu.md", self._markdown())

    def failures(self) -> list[str]:
        """Parts that ended badly, by name."""
        with self._guard:
            return [row["part"] for row in self._rows if row.get("what") == "ended" and row.get("exit") != 0]

    def _markdown(self) -> str:
        lines = [f"`python benchmarks/gpu.py`, {time.strftime('%Y-%m-%d')}, {platform.platform()}."]
        for part, title in TITLES.items():
            rows = [row for row in self._rows if row["part"] == part and row.get("what") != "ended"]
            if not rows:
                continue
            names = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in ("part", "at")]
            lines += ["", f"## {title}", "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
            lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run the parts; exit code 1 where one broke off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-benchmark"), help="gpu.json and gpu.md go here")
    parser.add_argument("--work", type=Path, help="models and runs go here (20 GB); a temporary folder by default")
    parser.add_argument("--budget", type=float, default=530.0, help="seconds after which no part is begun")
    parser.add_argument("--only", default="", help=f"some of {', '.join(TITLES)}")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    asked = parser.parse_args()
    wanted = asked.only.split(",") if asked.only else list(TITLES)
    unknown = set(wanted) - set(TITLES)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    results, deadline = Results(asked.out.resolve()), time.time() + asked.budget
    with tempfile.TemporaryDirectory() as temporary:
        work = (asked.work or Path(temporary)).resolve()

        def go(part: str) -> None:
            left = deadline - time.time()
            if part in wanted and left > 5:
                run_part(part, work, asked.tiny, results, left if asked.tiny else min(LONGEST, left))

        for part in FIRST:
            go(part)
        with ThreadPoolExecutor(max(1, min(len(TOGETHER), (os.cpu_count() or 1) // 2))) as pool:
            list(pool.map(go, TOGETHER))
        for part in ALONE:
            go(part)
    return 1 if results.failures() else 0


def run_part(part: str, work: Path, tiny: bool, results: Results, limit: float) -> None:
    """One part in its own process, ended after `limit` seconds; its rows, then how it ended."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("gpu_parts.py")), part, str(work)]
    work.mkdir(parents=True, exist_ok=True)
    log = work / f"{part}.log"
    began = time.time()
    with log.open("wb") as noise:
        process = subprocess.Popen(
            [*command, "--tiny"] if tiny else command, stdout=subprocess.PIPE, stderr=noise, text=True,
            stdin=subprocess.DEVNULL, env=worker_environment() | ({"OMP_NUM_THREADS": "1"} if tiny else {}),
            start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(limit, lambda: os.killpg(process.pid, 9))
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ROW "):
                results.add(part, json.loads(line[4:]))
        code = process.wait()
        timer.cancel()
    end: dict[str, Any] = {"what": "ended", "exit": code, "seconds": round(time.time() - began, 1)}
    if code:
        end["said"] = log.read_text(errors="replace")[-800:]
    results.add(part, end)


def _flat(row: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_cell(value)}" for name, value in row.items() if value not in (None, ""))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.4g}"
    return f"{value:,}" if _number(value) else str(value).replace("\n", " ").replace("|", "/")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


if __name__ == "__main__":
    sys.exit(main())
