"""The Adapters screen: many per base, where they came from, and what can be done with them by keys."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from rung.engine.jobs.folder import RunFolder
from rung.engine.results.exports import Errand, ErrandWorker
from rung.tui.adapters.dialogs import CombineDialog
from rung.tui.adapters.screen import AdaptersScreen
from rung.tui.compare.screen import CompareScreen
from rung.tui.home.dialogs import FolderDialog
from rung.tui.run.screen import RunScreen
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ErrorPanel
from rung.tui.shell.help_screen import HelpScreen
from tests.helpers.on_screen import NARROW, THREE_RUNS, WIDE, project, shown, until
from tests.helpers.trained_runs import light_run, put_score

CPT, SFT, OTHER = "20260101-030405-cpt-0a1b", "20260102-030405-sft-ab12", "20260103-030405-sft-cd34"
DPO = "20251122-180500-dpo-77c0"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Recordings, one of which left an adapter, and three runs by hand: a chain of two, and one on another base."""
    root = project(tmp_path / "invoices", THREE_RUNS)
    adapter = RunFolder(root / "runs" / DPO).path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8}))
    light_run(root, CPT, r=32)
    light_run(root, SFT, r=32, use_dora=True, start_from=f"run:{CPT}")
    light_run(root, OTHER, model="Qwen/Qwen3-0.6B", peft_type="BOTTLENECK", r=64)
    put_score(root, SFT, 0.7)
    return root


def listed(app: RungApp) -> OptionList:
    return app.screen.query_one("#adapters", OptionList)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_adapters_are_listed_by_base_with_score_forgetting_and_size(trained: Path, size: tuple[int, int]) -> None:
    app = RungApp(trained, start="adapters")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "trained on it" in shown(app))
        lines = [re.split("[│╮╯]", line.rstrip("│ "))[-1].strip() for line in shown(app).splitlines()]
        assert [line for line in lines if "trained on it" in line] == [
            "Qwen/Qwen3-0.6B  1 trained on it", "pocket  3 trained on it",
        ]  # fmt: skip
        row = next(line for line in lines if line.startswith("0102-sft-ab12"))
        assert row.split()[:7] == ["0102-sft-ab12", "DoRA", "r32", ".70", "[.60,", ".80]", "+2.0%"]
        assert row.split()[7:9] == ["3", "MiB"]
        assert any(line.startswith("0103-sft-cd34") and "bottleneck r64" in line for line in lines)
        assert any(line.startswith("1122-dpo-77c0") and "LoRA r8" in line for line in lines), "the recorded run"
        await pilot.press("end")
        await until(pilot, lambda: f"run      {SFT}" in shown(app))
        flat = " ".join(shown(app).replace("│", " ").split())
        assert "pocket → 0101-cpt-0a1b (+2.0%) → this: sft, DoRA r32" in flat
        assert "step 4: lowest validation loss" in flat
        assert "exact_match .70 [.60, .80] on 50 held-out rows" in flat
        assert "perplexity of general text +2.0 % over this run; 0.01 nats a token" in flat
        assert f"runs/{SFT}/adapter" in flat
        assert shown(app).split("\n")[-1].endswith("? help  q quit")


async def test_keys_are_offered_where_they_make_sense(trained: Path) -> None:
    app = RungApp(trained, start="adapters")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "trained on it" in shown(app))
        foot = shown(app).split("\n")[-1]
        assert "e export" in foot and "m merge" not in foot, "the first is a bottleneck"
        await pilot.press("end")
        await until(pilot, lambda: "m merge" in shown(app).split("\n")[-1])
        assert "+ combine" not in shown(app).split("\n")[-1]
        await pilot.press("up", "space", "up", "up")
        await pilot.press("space")
        await until(pilot, lambda: "+ combine" in shown(app).split("\n")[-1])
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert "Here: Adapters" in shown(app) and "merge: the adapter made part" in shown(app)


async def test_enter_opens_the_run_and_c_compares_the_marked(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = RungApp(trained, start="adapters")
    asked: list[tuple[str | None, tuple[str, ...]]] = []
    monkeypatch.setattr(CompareScreen, "_look", lambda self: asked.append((self._run, self._others)))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "trained on it" in shown(app) and len(app.runs) == 6)
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert isinstance(app.screen, RunScreen) and app.screen.run_id == SFT
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, AdaptersScreen) and listed(app).highlighted == 5)
        await pilot.press("up", "space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert asked == [(CPT, (SFT,))]


async def test_an_empty_project_says_how_to_get_one(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, {}), start="runs")
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: "Nothing is trained yet" in shown(app))
        assert "e export" not in shown(app).split("\n")[-1]


async def test_a_damaged_scoreboard_is_said_in_place_of_the_list(trained: Path) -> None:
    (trained / "scoreboard.json").write_text("{")
    app = RungApp(trained, start="adapters")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "can't be listed" in shown(app))
        assert "is not valid JSON" in " ".join(shown(app).split())
        (trained / "scoreboard.json").unlink()
        await pilot.press("f5")
        await until(pilot, lambda: "4 trained on it" in shown(app) or "3 trained on it" in shown(app))


async def test_what_it_started_from_may_be_gone(tmp_path: Path) -> None:
    root = project(tmp_path, {})
    light_run(root, SFT, start_from="run:20240101-000000-sft-gone")
    app = RungApp(root, start="adapters")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "what it started from is gone" in shown(app))


async def test_an_export_runs_in_a_worker_and_is_told(tmp_path: Path) -> None:
    root = project(tmp_path / "project", {})
    light_run(root, SFT, peft_type="BOTTLENECK")
    app = RungApp(root, start="adapters")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "1 trained on it" in shown(app))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, FolderDialog))
        assert app.screen.query_one("#folder", Input).value == f"exports/{SFT}"
        await pilot.press("enter")
        await until(pilot, lambda: "(x cancels)" in shown(app))
        await until(pilot, lambda: "(x cancels)" not in shown(app))
        await until(pilot, lambda: any(note.title == "Written" for note in app._notifications))
        (note,) = app._notifications
        assert "loads only where Rung is installed" in note.message
        assert (root / "exports" / SFT / "adapter_model.safetensors").exists()
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, FolderDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "is not empty" in shown(app))
        assert isinstance(app.screen, FolderDialog), "the form is there still"


class WaitingWorker(ErrandWorker):
    """Says one phase and waits until it is cancelled."""

    def _start(self) -> "subprocess.Popen[str]":
        code = 'import sys, time; print(\'{"phase": "merging"}\', flush=True); time.sleep(600)'
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        return self._process


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[Errand]:
    """The errands that workers were started for; the workers wait until they are cancelled."""
    from rung.tui.adapters import work as adapters_work

    started: list[Errand] = []

    def start(errand: Errand) -> ErrandWorker:
        started.append(errand)
        return WaitingWorker(errand)

    monkeypatch.setattr(adapters_work, "ErrandWorker", start)
    return started


async def test_x_ends_what_is_being_written(trained: Path, waiting: list[Errand]) -> None:
    app = RungApp(trained, start="adapters")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "trained on it" in shown(app))
        await pilot.press("end", "m")
        await until(pilot, lambda: isinstance(app.screen, FolderDialog))
        assert app.screen.query_one("#folder", Input).value == f"exports/{SFT}-merged"
        await pilot.press("enter")
        await until(pilot, lambda: f"writing exports/{SFT}-merged: merging … (x cancels)" in shown(app))
        assert "e export" not in shown(app).split("\n")[-1], "one at a time"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert "It was cancelled" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: "(x cancels)" not in shown(app) and "e export" in shown(app).split("\n")[-1])
    assert [errand.asked["merged"] for errand in waiting] == [True]


async def test_marked_adapters_are_added_up_by_the_weights_typed(tmp_path: Path, waiting: list[Errand]) -> None:
    root = project(tmp_path, {})
    light_run(root, SFT)
    light_run(root, OTHER)
    app = RungApp(root, start="adapters")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "2 trained on it" in shown(app))
        await pilot.press("space", "space", "plus")
        await until(pilot, lambda: isinstance(app.screen, CombineDialog))
        await pilot.press("end", *("backspace",) * 3, "enter")
        fault = app.screen.query_one("#fault", Static)
        await until(pilot, lambda: "is a number" in str(fault.content))
        await pilot.press(*"0.25", "enter")
        await until(pilot, lambda: "(x cancels)" in shown(app))
        (errand,) = waiting
        runs = [(Path(part["run"]).name, part["weight"]) for part in errand.asked["parts"]]
        assert runs == [(SFT, 0.25), (OTHER, 0.5)] and errand.asked["how"] == "cat"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
