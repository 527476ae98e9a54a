"""One GPU a job: which are there, which is taken, who has it, and what a recipe may name."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

import rung.engine.machine.gpus
from rung.engine.core.errors import EngineError
from rung.engine.jobs.program import worker_environment
from rung.engine.jobs.slots import freest_gpu
from rung.engine.machine.devices import DeviceMemory
from rung.engine.machine.gpus import Gpu, environment_as_given, freest_first, see_only, visible_gpus, wanted_gpus
from rung.engine.recipe.load import build_recipe

GIB = 1 << 30
TWO = [("GPU-aa11", 0, 9), ("GPU-bb22", 1, 3)]
CUT = [("MIG-p0", 0, 9), ("MIG-p1", 0, 3), ("GPU-cc33", 1, 1)]


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: list[tuple[str, int, int]]) -> None:
    readings = [DeviceMemory(uuid, "H100", used=used * GIB, total=80 * GIB, index=index) for uuid, index, used in gpus]
    monkeypatch.setattr(rung.engine.machine.gpus, "read_devices", lambda: readings)
    monkeypatch.setattr(rung.engine.machine.gpus, "nvml_answers", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # So that it is put back, whatever the test sets.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def uuids(gpus: list[Gpu]) -> list[str]:
    return [gpu.uuid for gpu in gpus]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, ["GPU-aa11", "GPU-bb22"]),
        ("1,0", ["GPU-bb22", "GPU-aa11"]), ("GPU-bb", ["GPU-bb22"]), ("1", ["GPU-bb22"]),
        ("", []), ("-1", []), ("NoDevFiles", []), ("0,-1,1", ["GPU-aa11"]), ("0,7,1", ["GPU-aa11"]),
    ],
)  # fmt: skip
def test_what_the_environment_leaves_visible(
    monkeypatch: pytest.MonkeyPatch, given: str | None, wanted: list[str]
) -> None:
    pretend(monkeypatch, TWO)
    assert uuids(visible_gpus({} if given is None else {"CUDA_VISIBLE_DEVICES": given})) == wanted


def test_an_index_of_a_cut_gpu_is_its_first_part_for_cuda_and_all_parts_for_a_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, CUT)
    assert uuids(visible_gpus({"CUDA_VISIBLE_DEVICES": "0"})) == ["MIG-p0"]
    assert uuids(wanted_gpus([0], visible_gpus())) == ["MIG-p0", "MIG-p1"]
    assert uuids(wanted_gpus(["MIG-p1"], visible_gpus())) == ["MIG-p1"]


@pytest.mark.parametrize("given", ["7", "GPU-zz", "MIG-zz"])
def test_a_visible_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    pretend(monkeypatch, TWO)
    with pytest.raises(EngineError, match=f"not there: {given}") as refused:
        visible_gpus({"CUDA_VISIBLE_DEVICES": given})
    assert "GPU 0 H100 (GPU-aa11); GPU 1 H100 (GPU-bb22)" in refused.value.details


@pytest.mark.parametrize("name", [2, "GPU-zz", "MIG-aa11"])
def test_a_wrong_name_is_refused_with_the_gpus_there_are(monkeypatch: pytest.MonkeyPatch, name: int | str) -> None:
    pretend(monkeypatch, TWO)
    with pytest.raises(EngineError, match=f"There is no (GPU )?{name} here") as refused:
        wanted_gpus([name], visible_gpus())
    assert "GPU 0 H100 (GPU-aa11); GPU 1 H100 (GPU-bb22)" in refused.value.details


def test_a_gpu_that_the_environment_hides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(EngineError) as refused:
        wanted_gpus([0], visible_gpus())
    assert "CUDA_VISIBLE_DEVICES=1 leaves: GPU 1 H100 (GPU-bb22)" in refused.value.details


def test_without_a_gpu_a_named_one_is_refused_and_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [])
    assert wanted_gpus("auto", visible_gpus()) == []
    with pytest.raises(EngineError) as refused:
        wanted_gpus([0], visible_gpus())
    assert "trains on the CPU" in refused.value.hint


def test_the_freest_first_and_the_unknown_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, TWO)
    unknown = Gpu("GPU-u", 2, "H100", None, None, "GPU-u")
    assert uuids(freest_first([unknown, *visible_gpus()])) == ["GPU-bb22", "GPU-aa11", "GPU-u"]
    chosen = freest_gpu()
    assert chosen is not None
    assert chosen.uuid == "GPU-bb22"


def test_a_job_started_by_one_that_hides_gpus_sees_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, TWO)
    monkeypatch.setattr(rung.engine.machine.gpus, "_before", {})
    for given in (None, "0,1"):
        if given is not None:
            monkeypatch.setattr(rung.engine.machine.gpus, "_before", {})
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        for gpu in visible_gpus():
            see_only(gpu)
        assert os.environ["CUDA_VISIBLE_DEVICES"] in ("GPU-aa11", "GPU-bb22")
        assert environment_as_given().get("CUDA_VISIBLE_DEVICES") == given
        assert worker_environment().get("CUDA_VISIBLE_DEVICES") == given


def test_without_nvidias_library_torch_is_asked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = [
        {"name": "Radeon", "uuid": None, "free": 5, "total": 9},
        {"name": "H100", "uuid": "GPU-x", "free": 7, "total": 9},
    ]
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho 'a warning of some library'\necho '{json.dumps(told)}'\n")
    fake.chmod(0o755)
    (tmp_path / "device").touch()
    monkeypatch.setattr(rung.engine.machine.gpus, "nvml_answers", lambda: False)
    monkeypatch.setattr(rung.engine.machine.gpus, "_DEVICE_FILES", (str(tmp_path / "device"),))
    monkeypatch.setattr(sys, "executable", str(fake))
    assert visible_gpus({}) == [], "asked only where seconds don't matter"
    first, second = visible_gpus({}, ask_torch=True)
    assert (first.index, first.visible, second.uuid, second.visible) == (0, "0", "GPU-x", "1")
    named = visible_gpus({"CUDA_VISIBLE_DEVICES": "3,GPU-x"}, ask_torch=True)
    assert [(gpu.index, gpu.visible) for gpu in named] == [(3, "3"), (None, "GPU-x")]


RECIPE = {"method": "sft", "model": {"name": "pocket"}, "data": {"train": "rows.jsonl"}}


@pytest.mark.parametrize("devices", ["auto", 1, [0], ["GPU-aa11"], ["MIG-p0"]])
def test_a_recipe_names_one_device(devices: Any) -> None:
    assert build_recipe(RECIPE | {"devices": devices}, "here").devices == devices


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (4, "a run takes one GPU; write auto for the freest, or [4] for GPU 4"),
        (0, "GPU 0 is written [0]"),
        ([0, 1], "2 are named; training on several is not built yet"),
        ([], "0 are named"),
        ("GPU-aa11", "written as a list: [GPU-aa11]"),
        (True, "write auto, or a list"),
        ([1.5], "write auto, or a list"),
        (None, "write auto, or a list"),
    ],
)
def test_what_a_recipe_may_not_name_is_refused_with_the_reason(devices: Any, said: str) -> None:
    with pytest.raises(EngineError) as refused:
        build_recipe(RECIPE | {"devices": devices}, "here")
    assert said in refused.value.details
    assert refused.value.details.count("devices") == 1, "one fault, told once"


def test_a_trainer_is_never_spread_over_several_gpus(tmp_path: Path) -> None:
    from trl import SFTConfig

    from rung.engine.training.methods.arguments import trl_arguments

    class SeesFour(SFTConfig):  # type: ignore[misc]
        """As Transformers counts where four GPUs are visible: a Trainer then wraps its model in DataParallel."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self._n_gpu = 4

    folder = SimpleNamespace(path=tmp_path, id="a-run")
    schedule = SimpleNamespace(total_steps=3)
    job: Any = SimpleNamespace(
        recipe=build_recipe(RECIPE, "here"), device="cpu", folder=folder, schedule=schedule, root=tmp_path
    )
    arguments = trl_arguments(job, SeesFour)
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == arguments.per_device_train_batch_size


TAKE = """
import json, os, sys
from pathlib import Path
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.slots import take_slot
devices, run, again = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]
def tell(wanted, holder):
    print(json.dumps(["waits", wanted, holder]), flush=True)
taken = take_slot(devices, RunFolder(Path(run)), tell, lambda: False)
print(json.dumps(["took", str(taken), os.environ.get("CUDA_VISIBLE_DEVICES")]), flush=True)
if again:
    taken.lock.keep_over_exec()
    os.execv(sys.executable, [sys.executable, "-c", open(again[0]).read(), sys.argv[1], run])
sys.stdin.read()
"""


class Taker:
    """A process that takes a slot on a machine with two fake GPUs, and holds it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def line(self) -> list[str | None]:
        """What it says next."""
        assert self.process.stdout is not None
        said: list[str | None] = json.loads(self.process.stdout.readline())
        return said

    def end(self) -> None:
        """Let it end, and its slot with it."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        stdin.close()
        self.process.wait()


@contextmanager
def takers(fake_nvml: Path, **environment: str) -> Iterator[Any]:
    """`take(devices, run)` starts a process that takes a slot; what is left of them ends with the block."""
    started: list[Taker] = []

    def take(devices: Any, run: str, *again: str) -> Taker:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE, json.dumps(devices), run, *again],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"LD_LIBRARY_PATH": str(fake_nvml), "FAKE_NVML": "two", "FAKE_USED": "9,3"} | environment,
        )  # fmt: skip
        started.append(Taker(process))
        return started[-1]

    try:
        yield take
    finally:
        for taker in started:
            taker.end()


def test_two_runs_take_two_gpus_and_a_third_waits_and_says_for_whom(fake_nvml: Path, tmp_path: Path) -> None:
    run_a, run_b, run_c = (str(tmp_path / name / "runs" / f"run-{name}") for name in "abc")
    with takers(fake_nvml) as take:
        first = take("auto", run_a)
        assert first.line() == ["waits", "one of GPU 0, GPU 1", None]
        assert first.line() == ["took", "GPU 1 Fake H100 (GPU-fake-1)", "GPU-fake-1"], "the freest"
        second = take("auto", run_b)
        second.line()
        assert second.line() == ["took", "GPU 0 Fake H100 (GPU-fake-0)", "GPU-fake-0"], "of another project, too"
        third = take("auto", run_c)
        third.line()
        _, wanted, holders = third.line()
        assert wanted == "one of GPU 0, GPU 1"
        assert holders == f"GPU 0: run run-b in {tmp_path / 'b'}; GPU 1: run run-a in {tmp_path / 'a'}"
        second.end()
        said = third.line()
        while said[0] == "waits":  # It may see that one is free, and say who is left, before it tries again.
            said = third.line()
        assert said == ["took", "GPU 0 Fake H100 (GPU-fake-0)", "GPU-fake-0"]


def test_a_named_gpu_is_waited_for_though_another_is_free(fake_nvml: Path, tmp_path: Path) -> None:
    with takers(fake_nvml) as take:
        first = take([1], str(tmp_path / "p" / "runs" / "run-1"))
        assert [first.line()[0], first.line()[2]] == ["waits", "GPU-fake-1"]
        second = take(["GPU-fake-1"], str(tmp_path / "p" / "runs" / "run-2"))
        assert second.line() == ["waits", "GPU 1 Fake H100 (GPU-fake-1)", None]
        assert second.line()[2] == f"run run-1 in {tmp_path / 'p'}"
        first.end()
        assert second.line()[0] == "took"


def test_the_slot_is_kept_over_the_restart_for_want_of_memory(fake_nvml: Path, tmp_path: Path) -> None:
    script = tmp_path / "again.py"
    script.write_text(TAKE)
    with takers(fake_nvml) as take:
        first = take("auto", str(tmp_path / "p" / "runs" / "run-1"), str(script))
        first.line()
        assert first.line()[2] == "GPU-fake-1"
        assert first.line() == ["waits", "GPU 1 Fake H100 (GPU-fake-1)", None], "the same one"
        assert first.line()[2] == "GPU-fake-1"
        second = take([1], str(tmp_path / "p" / "runs" / "run-2"))
        second.line()
        assert second.line()[0] == "waits", "it is still held"


def test_a_job_that_only_generates_keeps_off_the_gpu_that_trains(fake_nvml: Path, tmp_path: Path) -> None:
    asks = "from rung.engine.jobs.slots import see_freest_gpu; print(see_freest_gpu().uuid)"

    def chosen(**environment: str) -> str:
        machine = {"LD_LIBRARY_PATH": str(fake_nvml), "FAKE_NVML": "two", "FAKE_USED": "9,3"} | environment
        done = subprocess.run(
            [sys.executable, "-c", asks], env=os.environ | machine, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert chosen() == "GPU-fake-1", "the freest"
    with takers(fake_nvml) as take:
        trains = take([1], str(tmp_path / "p" / "runs" / "run-1"))
        trains.line()
        assert trains.line()[0] == "took"
        assert chosen() == "GPU-fake-0"
        assert chosen(CUDA_VISIBLE_DEVICES="1") == "GPU-fake-1", "where there is no other, it goes beside"
