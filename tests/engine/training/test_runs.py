"""Runs in processes of their own: started, killed, resumed, stopped, and out of disk."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rung.engine.machine.gpus
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder, find_run, new_run_folder
from rung.engine.jobs.lock import is_locked, try_lock
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.reader import RunReader, log_tail, read_run
from rung.engine.machine.devices import DeviceMemory
from rung.engine.recipe.load import dump_recipe
from rung.engine.training.launch import request, resume_run, start_run
from tests.engine.training.test_training import losses, recipe_for, write_project
from tests.helpers.tiny import make_tiny_model

PATIENCE_SECONDS = 600.0


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def wait_until(folder: RunFolder, holds: Callable[[RunReader], bool]) -> RunReader:
    reader = RunReader(folder)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        reader.catch_up()
        if holds(reader):
            return reader
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s; status {reader.status()}\n{log_tail(folder)}")


def worker_pid(folder: RunFolder) -> int:
    return next(int(event["pid"]) for event in reversed(read_json_lines(folder.events)) if event["type"] == "started")


@pytest.mark.slow
def test_a_killed_run_is_crashed_and_goes_on_where_it_was(model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(model_folder, training={"num_train_epochs": 8})
    folder = start_run(recipe, write_project(tmp_path / "project"))
    wait_until(folder, lambda reader: reader.state.step >= 12)
    os.kill(worker_pid(folder), signal.SIGKILL)
    wait_until(folder, lambda reader: reader.status() == "crashed")
    with folder.events.open("ab") as stream:
        stream.write(b'{"v": 1, "seq": 99, "ti')  # What a kill in the middle of a write leaves.

    resume_run(folder)
    wait_until(folder, lambda reader: reader.status() == "finished")

    steps = [step for step, _ in losses(folder)]
    assert steps == list(range(1, 89)), "one unbroken curve"
    sequence = [event["seq"] for event in read_json_lines(folder.events)]
    assert sequence == list(range(len(sequence)))
    unbroken = start_run(recipe, write_project(tmp_path / "unbroken"))
    wait_until(unbroken, lambda reader: reader.status() == "finished")
    assert losses(unbroken) == losses(folder)


def test_requests_from_outside_are_taken(model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(model_folder, training={"num_train_epochs": 400, "eval_steps": 100000})
    root = write_project(tmp_path / "project")
    folder = start_run(recipe, root)
    assert find_run(root, "last").id == folder.id
    with pytest.raises(EngineError, match="going on already"):
        resume_run(folder)
    wait_until(folder, lambda reader: reader.state.step >= 2)
    request(folder, "checkpoint")
    wait_until(folder, lambda reader: len(reader.state.checkpoints) == 1)
    request(folder, "stop", who="the test")
    reader = wait_until(folder, lambda reader: reader.state.over)
    assert reader.status() == "stopped"
    assert reader.state.result["resumable"] is True
    saved = reader.state.checkpoints[-1]
    assert saved["step"] == reader.state.step and saved["reason"] == "stop"
    assert (folder.path / saved["path"] / "manifest.json").exists()
    while is_locked(folder.lock):
        time.sleep(0.02)
    with pytest.raises(EngineError, match="not going on"):
        request(folder, "stop")


def test_a_full_disk_is_said_and_leaves_nothing_half_written(model_folder: Path, tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    folder = new_run_folder(root, "sft")
    folder.recipe.write_text(dump_recipe(recipe_for(model_folder)))

    def no_file_larger() -> None:
        # A file-size limit fails writes as a full disk does, at a place of the test's choosing: within the weights.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    subprocess.run(
        worker_command("train", str(folder.path)),
        env=worker_environment(),
        preexec_fn=no_file_larger,
        capture_output=True,
        check=False,
    )
    state, status = read_run(folder)
    assert status == "failed"
    assert state.result["message"] == "The disk is full"
    assert "resume" in state.result["hint"]
    assert not folder.checkpoints.exists() or not list(folder.checkpoints.iterdir())
    assert folder.artifact() is None


def test_a_second_worker_on_one_run_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_project(tmp_path / "project"), "sft")
    held = try_lock(folder.lock)
    assert held is not None
    done = subprocess.run(
        worker_command("train", str(folder.path)), env=worker_environment(), capture_output=True, text=True, check=False
    )
    held.release()
    assert done.returncode == 1
    assert "going on already" in done.stderr
    assert not folder.events.exists()


def test_a_run_waits_for_its_slot_and_can_be_cancelled_there(model_folder: Path, tmp_path: Path) -> None:
    slots = tmp_path / "state" / "rung" / "slots"
    slots.mkdir(parents=True)
    held = try_lock(slots / "cpu.lock")
    assert held is not None
    try:
        folder = start_run(recipe_for(model_folder), write_project(tmp_path / "project"))
        reader = wait_until(folder, lambda reader: reader.state.sequence >= 0)
        assert reader.status() == "queued"
        assert reader.state.waits_for == "cpu"
        request(folder, "cancel")
        reader = wait_until(folder, lambda reader: reader.state.over)
        assert reader.state.status == "cancelled"
    finally:
        held.release()


def test_a_gpu_that_is_not_there_is_refused_before_there_is_a_run(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    root = write_project(tmp_path / "project")
    with pytest.raises(EngineError, match="There is no GPU 5 here"):
        start_run(recipe_for(model_folder, devices=[5]), root)
    assert not (root / "runs").exists()


@pytest.mark.slow
def test_a_run_takes_one_gpu_and_another_run_waits_for_it(
    model_folder: Path, tmp_path: Path, fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_USED", "9,3")
    # The workers load the stand-in themselves; this process looked for the library before it was there.
    readings = [DeviceMemory(f"GPU-fake-{index}", "Fake H100", index=index) for index in (0, 1)]
    monkeypatch.setattr(rung.engine.machine.gpus, "read_devices", lambda: readings)
    monkeypatch.setattr(rung.engine.machine.gpus, "nvml_answers", lambda: True)
    first = start_run(recipe_for(model_folder, training={"num_train_epochs": 8}), write_project(tmp_path / "one"))
    wait_until(first, lambda reader: reader.state.status == "running")
    recipe = recipe_for(model_folder, devices=["GPU-fake-1"])
    second = start_run(recipe, write_project(tmp_path / "two"))
    reader = wait_until(second, lambda reader: "in use" in reader.state.waits_for)
    assert reader.state.waits_for == f"GPU 1 Fake H100 (GPU-fake-1) (in use: run {first.id} in {tmp_path / 'one'})"
    reader = wait_until(first, lambda reader: bool(reader.state.memory))
    assert reader.state.devices == ["GPU 1 Fake H100 (GPU-fake-1)"]
    assert [(gpu["index"], gpu["uuid"]) for gpu in reader.state.memory["devices"]] == [(1, "GPU-fake-1")]
    request(first, "stop")
    for folder in (first, second):
        wait_until(folder, lambda reader: reader.state.over)
    assert read_run(second)[0].status == "finished"
    warnings = [event["message"] for event in read_json_lines(second.events) if event["type"] == "warning"]
    assert any("can't use it: this run trains on the CPU" in message for message in warnings), "torch is no CUDA build"
