"""Memory and load readings: with a stand-in for NVIDIA's library, without one, and inside a container's limit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from rung.engine.machine.memory import MachineMemory, cgroup_memory, machine_memory
from rung.engine.training.memory import sample

GIB = 1 << 30
SAMPLE_AS_JSON = """
import os, sys
from rung.engine.machine.devices import driver_version
from rung.engine.training.memory import sample
from rung.engine.jobs.events import to_json_line
print(to_json_line(sample(os.getpid(), eval(sys.argv[1])), 0, 0.0))
print(driver_version())
"""


def sampled(folder: Path, machine: str, uuids: str = "None") -> tuple[dict[str, Any], str]:
    """The memory event and driver version that a process sees on a fake machine."""
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": machine}
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE_AS_JSON, uuids], env=environment, capture_output=True, text=True, check=True
    )
    line, version = done.stdout.split("\n")[:1], done.stdout.split()[-1]
    return json.loads(line[0]), version


def test_two_gpus_give_all_readings(fake_nvml: Path) -> None:
    event, version = sampled(fake_nvml, "two")
    first, second = event["devices"]
    assert version == "999.01"
    assert first == {
        "uuid": "GPU-fake-0", "name": "Fake H100", "job_reserved": None, "job_peak": None, "used": 9 * GIB,
        "total": 80 * GIB, "utilisation": 87.0, "temperature_c": 61.0, "power_w": 512.0, "throttled": False,
        "index": 0,
    }  # fmt: skip
    assert second["uuid"] == "GPU-fake-1"
    assert second["temperature_c"] == 92.0
    assert second["throttled"] is True
    assert event["process_rss"] > 1_000_000


@pytest.mark.parametrize("uuid", ["GPU-fake-1", "fake-1"])
def test_only_the_wanted_gpu_as_torch_or_nvidia_smi_writes_it(fake_nvml: Path, uuid: str) -> None:
    event, _ = sampled(fake_nvml, "two", repr([uuid]))
    assert [device["uuid"] for device in event["devices"]] == ["GPU-fake-1"]


def test_what_a_driver_refuses_is_none(fake_nvml: Path) -> None:
    event, _ = sampled(fake_nvml, "refuses")
    (device,) = event["devices"]
    assert device["name"] == "Fake H100"
    assert {value for name, value in device.items() if name not in ("name", "uuid", "index")} == {None}


def test_a_partitioned_gpu_gives_its_parts(fake_nvml: Path) -> None:
    event, _ = sampled(fake_nvml, "mig")
    assert [device["uuid"] for device in event["devices"]] == ["MIG-fake-0", "MIG-fake-1"]
    assert [device["total"] for device in event["devices"]] == [40 * GIB, 40 * GIB]
    assert event["devices"][0]["utilisation"] is None
    assert event["devices"][0]["temperature_c"] == 61.0, "the board's own, though the part refuses"


def test_without_the_library_the_process_is_read(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    event, version = sampled(tmp_path, "two")
    assert event["devices"] == []
    assert version == "None"
    assert event["process_rss"] > 1_000_000
    assert 0 < event["machine_used"] <= event["machine_total"]


def test_cpu_load_is_since_the_last_call() -> None:
    sample(os.getpid())
    spent = 0
    for number in range(2_000_000):
        spent += number
    load = sample(os.getpid()).process_cpu
    assert load is not None
    assert load > 10, "this process was computing all the while"


def test_a_process_that_is_gone_reads_none() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    reading = sample(ended.pid)
    assert reading.process_rss is None
    assert reading.process_cpu is None


def test_no_process_asked_for_reads_only_the_machine() -> None:
    reading = sample(None)
    assert reading.process_rss is None
    assert reading.machine_total == machine_memory().total


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_tightest_group_of_version_2_counts_without_its_cache(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/slice/job\n")
    group(tmp_path / "slice", memory__max="4000\n", memory__current="3000\n", memory__stat="inactive_file 100\n")
    group(tmp_path / "slice" / "job", memory__max="2000\n", memory__current="900\n", memory__stat="inactive_file 300\n")
    assert cgroup_memory(tmp_path, own) == MachineMemory(used=600, total=2000)


def test_a_container_sees_its_limit_at_the_top(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/not/visible/here\n")
    group(tmp_path, memory__max="5000\n", memory__current="700\n", memory__stat="anon 1\n")
    assert cgroup_memory(tmp_path, own) == MachineMemory(used=700, total=5000)


def test_version_1_groups_are_read(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("7:cpu,cpuacct:/x\n4:memory:/job\n")
    group(
        tmp_path / "memory" / "job",
        memory__limit_in_bytes="8000\n", memory__usage_in_bytes="500\n", memory__stat="total_inactive_file 20\n",
    )  # fmt: skip
    assert cgroup_memory(tmp_path, own) == MachineMemory(used=480, total=8000)


def test_no_limit_means_the_whole_machine(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    group(tmp_path, memory__max="max\n", memory__current="700\n")
    assert cgroup_memory(tmp_path, own) is None
    assert machine_memory().total <= psutil.virtual_memory().total
