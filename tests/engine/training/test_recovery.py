"""What a run survives: too little memory, a disk that fills up, a recipe or rows that changed in between."""

import errno
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.checkpoints import latest_checkpoint, verify_checkpoint
from rung.engine.jobs.failures import last_words
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.lock import is_locked, try_lock
from rung.engine.jobs.program import worker_command, worker_environment
from rung.engine.jobs.reader import RunReader, read_run
from rung.engine.recipe.load import dump_recipe, load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.launch import resume_run
from rung.engine.training.recovery import with_smaller_batch
from tests.helpers.method_runs import chat_rows, curve, make_recipe, pair_rows, sit, warnings_of, write_rows
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("batch", "steps", "wanted"),
    [(8, 1, (4, 2)), (6, 2, (3, 4)), (9, 1, (3, 3)), (7, 2, (1, 14)), (1, 4, None)],
)
def test_a_smaller_batch_keeps_the_effective_one(
    batch: int, steps: int, wanted: tuple[int, int] | None, model_folder: Path
) -> None:
    training = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps}
    smaller = with_smaller_batch(make_recipe("sft", model_folder, training=training))
    if wanted is None:
        assert smaller is None
        return
    assert smaller is not None
    given = smaller.training
    assert (given.per_device_train_batch_size, given.gradient_accumulation_steps) == wanted
    assert batch * steps == wanted[0] * wanted[1]


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_parts_of_a_batch_give_the_curve_of_the_whole(model_folder: Path, tmp_path: Path, method: str) -> None:
    rows = chat_rows(40) if method == "sft" else pair_rows(40)
    curves = []
    for number, (batch, steps) in enumerate([(8, 1), (4, 2)]):
        training = {
            "per_device_train_batch_size": batch, "gradient_accumulation_steps": steps, "max_steps": 6,
            "learning_rate": 1e-3,
        }  # fmt: skip
        folder = new_run_folder(write_rows(tmp_path / str(number), rows), method)
        sit(make_recipe(method, model_folder, adapter={"lora_dropout": 0.0}, training=training), folder)
        curves.append([value for _, value in curve(folder, "loss")])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


MEMORY_LIMIT = """
import resource, sys
from rung.engine.jobs.events import Phase
from rung.engine.jobs.reporter import Reporter
from rung.engine.training.session import run_session
from pathlib import Path

def room() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            return int(line.split()[1]) * 1024 + int(sys.argv[2])

class Limiting(Reporter):
    def write(self, event):
        super().write(event)
        if isinstance(event, Phase) and event.name == "preflight":
            resource.setrlimit(resource.RLIMIT_AS, (room(), resource.RLIM_INFINITY))

import rung.engine.training.session as session
session.Reporter = Limiting
sys.exit(run_session(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved_by_a_fresh_worker(model_folder: Path, tmp_path: Path) -> None:
    """The limit on the process's memory is set once all is loaded; only the attention over a smaller batch fits."""
    root = write_rows(tmp_path, [{"prompt": f"Say {n}", "completion": "long " * 70} for n in range(80)])
    model = {"name": str(model_folder), "attention": "eager"}
    training = {"per_device_train_batch_size": 64, "max_steps": 2, "eval_steps": 2}
    recipe = make_recipe("sft", model_folder, model=model, data={"max_length": 448}, training=training)
    folder = new_run_folder(root, "sft")
    folder.recipe.write_text(dump_recipe(recipe))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_LIMIT, str(folder.path), str(900 << 20)],
        env=worker_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    state, status = read_run(folder)
    assert status == "finished", (state.result, done.stderr[-2000:])
    events = read_json_lines(folder.events)
    recovered = [event for event in events if event["type"] == "recovered"]
    assert recovered[0]["what"].startswith("out of memory")
    assert recovered[0]["old"] == {"per_device_train_batch_size": 64, "gradient_accumulation_steps": 1}
    assert recovered[0]["new"] == {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 2}
    started = [event["pid"] for event in events if event["type"] == "started"]
    assert len(started) == len(recovered) + 1
    assert len(set(started)) == 1, "the process is the same to everybody else"
    resolved = load_recipe(folder.recipe).training
    assert resolved.per_device_train_batch_size * resolved.gradient_accumulation_steps == 64
    assert [event["seq"] for event in events] == list(range(len(events)))


def test_a_lock_outlives_the_program_that_took_it(tmp_path: Path) -> None:
    body = (
        "import os, sys; from pathlib import Path; from rung.engine.jobs.lock import try_lock\n"
        "path = Path(sys.argv[1]); held = try_lock(path); held.keep_over_exec()\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'import sys; from pathlib import Path\\n"
        "from rung.engine.jobs.lock import try_lock\\nassert try_lock(Path(sys.argv[1]))\\n"
        "print(1, flush=True); sys.stdin.read()', sys.argv[1]])\n"
    )
    root = str(ROOT)
    with subprocess.Popen(
        [sys.executable, "-c", body, str(tmp_path / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment() | {"PYTHONPATH": root},
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == b"1\n"
        assert is_locked(tmp_path / "lock")
        process.communicate()
    held = try_lock(tmp_path / "lock")
    assert held is not None
    held.release()


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_last_checkpoint_and_the_run_goes_on_from_it(
    model_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe("sft", model_folder, training={"max_steps": 12, "eval_steps": 4})
    whole = new_run_folder(write_rows(tmp_path / "whole", chat_rows()), "sft")
    sit(recipe, whole)
    folder = new_run_folder(write_rows(tmp_path / "broken", chat_rows()), "sft")
    sit(recipe, folder, stop_at=5)

    def no_file_larger() -> None:
        # A limit on the size of files fails writes as a full disk does: within the weights of the next checkpoint.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    subprocess.run(
        worker_command("train", str(folder.path)), env=worker_environment(), preexec_fn=no_file_larger,
        capture_output=True, check=False,
    )  # fmt: skip
    state, status = read_run(folder)
    assert status == "failed"
    assert state.result["message"] == "The disk is full"
    assert state.result["resumable"] is True
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None and checkpoint.name == "step-5"
    verify_checkpoint(checkpoint)
    sit(recipe, folder)
    assert curve(folder, "loss") == curve(whole, "loss")


def test_a_run_without_a_checkpoint_begins_its_curve_anew(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("sft", model_folder, training={"max_steps": 6, "eval_steps": 6})
    folder = new_run_folder(write_rows(tmp_path, chat_rows()), "sft")
    sit(recipe, folder)
    # As after a kill before the first checkpoint: steps in the file, nothing saved.
    lines = folder.events.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("type") not in ("finished", "checkpoint_saved")]
    folder.events.write_text("".join(kept))
    for checkpoint in folder.checkpoints.iterdir():
        for file in checkpoint.iterdir():
            file.unlink()
        checkpoint.rmdir()
    first = curve(folder, "loss")
    sit(recipe, folder)
    assert curve(folder, "loss") == first
    assert [step for step, _ in curve(folder, "evaluation/loss")] == [0, 6]


def stopped(root: Path, recipe: Recipe) -> RunFolder:
    folder = new_run_folder(write_rows(root, chat_rows()), "sft")
    sit(recipe, folder, stop_at=3)
    return folder


def test_a_changed_recipe_is_refused_at_a_resume_with_what_changed(model_folder: Path, tmp_path: Path) -> None:
    folder = stopped(tmp_path, make_recipe("sft", model_folder))
    changed = {"training": {"learning_rate": 5e-3, "weight_decay": 0.1}}
    with pytest.raises(EngineError, match="recipe of .* has changed since step-3") as caught:
        sit(make_recipe("sft", model_folder, **changed), folder)
    assert "training.learning_rate: 0.01 → 0.005" in caught.value.details
    assert "training.weight_decay: 0.0 → 0.1" in caught.value.details
    assert "rung resume --override recipe_changed" in caught.value.hint
    sit(make_recipe("sft", model_folder, overrides=["recipe_changed"], **changed), folder)
    assert RunReader(folder).catch_up().status == "finished"
    assert any("Overridden (recipe_changed)" in text for text in warnings_of(folder))


def test_what_does_not_decide_the_curve_may_change(model_folder: Path, tmp_path: Path) -> None:
    whole = new_run_folder(write_rows(tmp_path / "whole", chat_rows()), "sft")
    sit(make_recipe("sft", model_folder), whole)
    folder = stopped(tmp_path / "broken", make_recipe("sft", model_folder))
    free: dict[str, Any] = {"name": "mine", "samples": {"max_new_tokens": 2}, "training": {"save_total_limit": 1}}
    sit(make_recipe("sft", model_folder, **free), folder)
    assert curve(folder, "loss") == curve(whole, "loss")


def test_changed_rows_are_refused_at_a_resume(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("sft", model_folder)
    folder = stopped(tmp_path, recipe)
    rows = chat_rows()
    write_rows(tmp_path, [{**rows[0], "completion": "violet"}, *rows[1:]])
    with pytest.raises(EngineError, match="rows of .* have changed since step-3") as caught:
        sit(recipe, folder)
    assert "train.jsonl" in caught.value.details
    assert "rung resume --override data_changed" in caught.value.hint
    write_rows(tmp_path, chat_rows(48))
    with pytest.raises(EngineError, match="have changed") as caught:
        sit(recipe, folder)
    assert "29 rows then, 43 now" in caught.value.details
    write_rows(tmp_path, rows)
    sit(recipe, folder)
    assert RunReader(folder).catch_up().status == "finished"


def test_overrides_of_a_resume_are_kept_in_the_runs_recipe(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Any
) -> None:
    folder = stopped(tmp_path, make_recipe("sft", model_folder))
    monkeypatch.chdir(tmp_path)
    ran = cli("resume", folder.id, "--override", "recipe_chnged")
    assert ran.code == 2 and "recipe_changed" in ran.err
    monkeypatch.setattr("rung.engine.training.launch._spawn", lambda *_: None)
    resume_run(folder, ["recipe_changed"])
    resume_run(folder, ["data_changed", "recipe_changed"])
    assert load_recipe(folder.recipe).overrides == ["recipe_changed", "data_changed"]


@pytest.mark.parametrize("work", ["training", "evaluation", "download"])
def test_the_last_words_name_what_broke(work: Literal["training", "evaluation", "download"]) -> None:
    full = last_words(OSError(errno.ENOSPC, "No space left on device"), True, work)
    assert full.message == "The disk is full" and full.hint.startswith("free space")
    assert ("checkpoint" in full.hint) == (work == "training")
    assert last_words(ZeroDivisionError("division by zero"), True, work).message == f"The {work} stopped on an error"
