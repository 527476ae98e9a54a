"""A step of the wizard is done when what it is for is measured or checked, not when its page was looked at."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import PAGES, Page, change_project, change_recipe
from rung.engine.guide.wizard_steps import Step, wizard_steps
from rung.engine.ladder.board_file import BOARD_VERSION
from rung.engine.ladder.project_facts import gather_facts
from rung.engine.project.checks import CHECKS_FILE, last_check, note_check
from rung.engine.project.load import load_project
from rung.tui.shell.app import RungApp
from rung.tui.widgets.text_panel import TextPanel
from tests.conftest import Ran
from tests.helpers.on_screen import NARROW, shown, until

ROW = {"label": "x", "score": 0.9, "low": 0.8, "high": 0.95, "n": 160, "chosen": True}
FINE: dict[str, Any] = {"problems": [], "rows": 420, "used": 420}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return make_demo("format", tmp_path / "demo")


def steps(root: Path, recipe_fault: str = "", model_lacks: str = "") -> dict[Page, Step]:
    project = load_project(root)
    return wizard_steps(root, project, gather_facts(root, project), recipe_fault, model_lacks)


def states(root: Path) -> dict[Page, str]:
    return {page: step.state for page, step in steps(root).items()}


def write_board(root: Path, rows: list[dict[str, Any]], rung: str) -> None:
    verdict = {"rung": rung, "candidate": None, "reasons": ["because"], "examples_needed": None}
    board = {"version": BOARD_VERSION, "scoreboard": rows, "verdict": verdict}
    (root / "scoreboard.json").write_text(json.dumps(board))


def test_nothing_measured_is_not_done(demo: Path) -> None:
    assert states(demo) == {
        "situation": "done", "model": "done", "data": "open", "prompt": "open", "rag": "open", "tune": "open",
        "verdict": "not yet",
    }  # fmt: skip
    change_project(demo, {"situation.wants": [], "system_prompt": None, "documents": None})
    found = states(demo)
    assert (found["situation"], found["prompt"], found["rag"]) == ("open", "not yet", "not yet")
    (demo / "recipes" / "sft.yaml").unlink()
    (demo / "data" / "splits.json").unlink()
    found = states(demo)
    assert (found["data"], found["tune"]) == ("not yet", "not yet")
    assert steps(demo, model_lacks="it is not here")["model"] == Step("open", "it is not here")


def test_each_rung_is_done_when_it_has_a_score_and_the_verdict_when_it_is_decided(demo: Path) -> None:
    rungs: tuple[Page, ...] = ("prompt", "rag", "tune")
    for number, rung in enumerate(rungs):
        rows = [ROW | {"candidate": name, "rung": name} for name in rungs[: number + 1]]
        write_board(demo, rows, "undecided")
        found = states(demo)
        assert [found[name] == "done" for name in rungs] == [name in rungs[: number + 1] for name in rungs], rung
        assert found["verdict"] == "open"
    write_board(demo, [ROW | {"candidate": "p", "rung": "prompt"}], "prompt")
    assert states(demo)["verdict"] == "done" and "160 held-out rows" in steps(demo)["prompt"].why
    foreign = [ROW | {"candidate": "e", "rung": "prompt", "endpoint": "big"}]
    write_board(demo, [*foreign, ROW | {"candidate": "t", "rung": "tune", "leaked": "3 rows"}], "undecided")
    found = states(demo)
    assert (found["prompt"], found["tune"]) == ("open", "open"), "another model's score, and one that had seen the rows"


def test_a_check_counts_for_the_files_as_they_were_checked(demo: Path) -> None:
    project = load_project(demo)
    note_check(demo, "data", project, FINE)
    note_check(demo, "recipe", project, FINE | {"problems": [{}, {}]})
    assert states(demo)["data"] == "done" and "420 of 420" in steps(demo)["data"].why
    assert "2 problems would stop" in steps(demo)["tune"].why
    note_check(demo, "recipe", project, FINE)
    assert steps(demo)["tune"] == Step("open", "checked, and not measured: m trains and measures it")
    change_recipe(demo, "recipes/sft.yaml", {"training.learning_rate": 1e-4})
    assert "not checked as it is now" in steps(demo)["tune"].why and states(demo)["data"] == "done"
    rows = demo / "data" / "train.jsonl"
    os.utime(rows, ns=(1, 1))
    assert states(demo)["data"] == "open"
    note_check(demo, "data", project, FINE | {"used": 0})
    assert steps(demo)["data"] == Step("open", "checked: 0 of 420 training rows are used")
    (demo / CHECKS_FILE).write_text("{")
    assert last_check(demo, "data", project) is None
    note_check(demo, "data", project, FINE)
    assert last_check(demo, "data", project) is not None


async def test_looking_at_a_page_marks_nothing_and_a_measurement_does(demo: Path) -> None:
    app = RungApp(demo, start="wizard")

    def marks() -> str:
        return app.screen.query_one("#steps", TextPanel).text

    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        for number in range(1, len(PAGES) + 1):
            await pilot.press(str(number))
        await until(pilot, lambda: "[7 verdict]" in marks())
        assert "1 situation✔" in marks() and "3 data◐" in marks() and "4 prompt◐" in marks() and "6 tune◐" in marks()
        write_board(demo, [ROW | {"candidate": "p", "rung": "prompt"}], "prompt")
        await pilot.press("4")
        await until(pilot, lambda: "[4 prompt✔]" in marks() and "7 verdict✔" in marks())
        assert "✔ done  measured on 160 held-out rows" in shown(app)
        assert "3 data◐" in marks(), "seen, and still not checked"


def test_a_check_from_the_command_line_counts_too(
    demo: Path, cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    assert cli("check", "data/train.jsonl").code == 0
    assert states(demo)["data"] == "done"
    cli("check", "recipes/sft.yaml")
    assert "checked" in steps(demo)["tune"].why and "not checked" not in steps(demo)["tune"].why
