"""The welcome screen: what it offers, and that each offer is done."""

import asyncio
import json
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from rung.engine.guide.doctor import DoctorReport, Finding, ModelCache, Terminal
from rung.engine.guide.recent_projects import recent_projects, remember_project
from rung.engine.jobs.lock import is_locked
from rung.engine.machine.devices import DeviceMemory
from rung.engine.machine.memory import MachineMemory
from rung.engine.training.launch import request
from rung.tui.home.dialogs import FolderDialog, NewProjectDialog
from rung.tui.home.screen import WelcomeScreen, begin_demo, doctor_line
from rung.tui.run.screen import RunScreen
from rung.tui.runs.screen import RunsScreen
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ChoiceDialog
from rung.tui.widgets.text_panel import TextPanel
from tests.helpers.on_screen import NARROW, THREE_RUNS, WIDE, project, shown, until
from tests.helpers.tiny import make_tiny_model

TRAINING_SECONDS = 900.0


def offered(app: RungApp) -> list[str]:
    """Keys of what can be chosen, headings left out."""
    choices = app.screen.query_one("#choices", OptionList)
    return [str(option.id) for option in choices.options if not option.disabled]


async def choose(app: RungApp, key: str) -> None:
    choices = app.screen.query_one("#choices", OptionList)
    choices.highlighted = choices.get_option_index(key)
    choices.action_select()


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_a_folder_without_a_project_offers_demos_and_a_new_project(tmp_path: Path, size: tuple[int, int]) -> None:
    other = project(tmp_path / "other", {})
    remember_project(other)
    app = RungApp(tmp_path / "empty")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: offered(app))
        assert isinstance(app.screen, WelcomeScreen)
        assert offered(app) == ["demo:format", "demo:facts", "demo:preference", "new", "open", f"project:{other}"]
        assert "lowest rung that works." in shown(app)
        assert "? help" in shown(app) and "q quit" in shown(app)
        assert "start recipe" not in shown(app)


async def test_the_projects_runs_and_recipes_are_at_hand(tmp_path: Path) -> None:
    root = project(tmp_path / "invoices", THREE_RUNS)
    (root / "recipes" / "sft.yaml").write_text("method: sft\n")
    app = RungApp(root, start="welcome")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: offered(app))
        runs = [f"run:{(root / 'runs' / run).resolve()}" for run in sorted(THREE_RUNS, reverse=True)]
        assert offered(app)[3:8] == ["start", "runs", *runs]
        assert "failed" in shown(app)
        await choose(app, "start")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        assert "sft.yaml" in shown(app)
        await pilot.press("escape")
        await choose(app, "runs")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_another_project_is_entered_with_its_own_runs(tmp_path: Path) -> None:
    first = project(tmp_path / "first", {"20251122-180500-dpo-77c0": "dpo-cpu"})
    second = project(tmp_path / "second", {"20251122-171000-sft-01be": "failed-cpu"})
    remember_project(second)
    app = RungApp(first, start="welcome")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: offered(app) and app.runs)
        await choose(app, f"project:{second}")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.runs)
        assert app.root == second
        assert set(app.runs) == {"20251122-171000-sft-01be"}
        assert "Rung  second ▸ runs" in shown(app)
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen) and offered(app))
        assert f"project:{first}" in offered(app)
    assert recent_projects() == [second, first]


async def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    app = RungApp(tmp_path)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: offered(app))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, FolderDialog))
        app.screen.query_one("#folder", Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "n makes a new one" in shown(app))
        assert isinstance(app.screen, FolderDialog) and app.screen.query_one("#folder", Input).value == str(tmp_path)


async def test_a_new_project_is_made_and_entered(tmp_path: Path) -> None:
    # A model is only looked at here, not loaded.
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    rows = [{"question": f"{number} plus one?", "answer": str(number + 1)} for number in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = RungApp(tmp_path)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: offered(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewProjectDialog))
        await pilot.press("enter")  # Without a folder nothing is made.
        assert isinstance(app.screen, NewProjectDialog)
        for name, value in {"folder": "mine", "model": "model", "train": "rows.jsonl"}.items():
            app.screen.query_one(f"#{name}", Input).value = str(tmp_path / value)
        await pilot.press("enter")
        await until(pilot, lambda: app.root == (tmp_path / "mine").resolve())
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
    assert (tmp_path / "mine" / "recipes" / "sft.yaml").exists()


WRONG_ANSWERS = [
    ("folder", "", "Name a new folder"),
    ("folder", "filled", "is not empty"),
    ("folder", "filled/rows.jsonl", "is a file"),
    ("model", "", "Name a model"),
    ("model", "./nowhere", "There is no model folder"),
    ("model", "filled", "config.json"),
    ("train", "nowhere.jsonl", "There is no file"),
    ("train", "filled/broken.json", "broken.json"),
]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(("field", "typed", "said"), WRONG_ANSWERS)
async def test_a_wrong_answer_is_told_in_the_form_and_what_was_typed_stays(
    tmp_path: Path, field: str, typed: str, said: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 30)
    (tmp_path / "filled" / "broken.json").write_text("[{")
    monkeypatch.chdir(tmp_path)
    app = RungApp(tmp_path)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: offered(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewProjectDialog))
        form = app.screen
        texts = {"folder": "mine", "model": "pocket", "train": "filled/rows.jsonl", field: typed}
        for name, text in texts.items():
            form.query_one(f"#{name}", Input).value = text
        await pilot.press("enter")
        await until(pilot, lambda: said in " ".join(shown(app).split()))
        assert app.screen is form and form.query_one(".asked.-wrong Input", Input).id == field
        assert {name: form.query_one(f"#{name}", Input).value for name in texts} == texts
        assert app.focused is form.query_one(f"#{field}") and not (tmp_path / "mine").exists()
        await pilot.press("x")
        assert not form.query(".asked.-wrong"), "another text, and nothing is said of it yet"


def test_a_demo_that_is_there_is_opened_and_not_started_again(tmp_path: Path) -> None:
    root = project(tmp_path / "demo-format", {})
    assert begin_demo("format", root, "") == (root, None)


@pytest.mark.slow
async def test_a_demo_is_made_trained_and_shown(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model")
    root, run = begin_demo("format", tmp_path / "demo", "", model=str(tmp_path / "model"))
    assert run is not None
    app = RungApp(tmp_path, start="welcome")
    try:
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, lambda: offered(app))
            app.open_project(root, run)
            await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.root == root)
            async with asyncio.timeout(TRAINING_SECONDS):
                while run.id not in app.runs or app.runs[run.id].state.step == 0:
                    await pilot.pause(0.05)
                await pilot.press("s")
                while app.runs[run.id].status != "stopped":
                    await pilot.pause(0.05)
    finally:
        if is_locked(run.lock):
            request(run, "cancel")


async def test_the_machine_is_told_in_a_line(tmp_path: Path) -> None:
    app = RungApp(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        panel = app.screen.query_one("#doctor", TextPanel)
        assert panel.text == "looking at this machine …"
        await until(pilot, lambda: "rung doctor says more" in panel.text)
        assert "training ✔" in panel.text


def test_what_will_not_work_is_named() -> None:
    report = DoctorReport(
        "570.1", [DeviceMemory("GPU-1", "NVIDIA H200")], 8, MachineMemory(8 << 30, 40 << 30), [],
        ModelCache("", [], True, False), [], Terminal(True, "utf-8", "xterm", "256", False, True, 80, 24), False,
        [Finding("training", True, ""), Finding("QLoRA", False, "lacks bitsandbytes"), Finding("RAG", True, "")],
    )  # fmt: skip
    line = doctor_line(report, "✔", "✖").plain
    assert line == "8 cores · 32.0 GiB memory free · NVIDIA H200 · training ✔ · QLoRA ✖   rung doctor says more"


def test_recent_projects_are_the_last_opened_ones_that_are_still_there(tmp_path: Path) -> None:
    roots = [project(tmp_path / name, {}) for name in ("a", "b", "c")]
    for root in [*roots, roots[0]]:
        remember_project(root)
    assert recent_projects() == [roots[0], roots[2], roots[1]]
    (roots[2] / "rung.yaml").unlink()
    assert recent_projects() == [roots[0], roots[1]]
