"""The wizard on screen: through all pages by keys, leaving in the middle and coming back, nothing lost."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, TextArea

from engine.demo import make_demo
from engine.events import Phase
from engine.ladder.events import Decided, Skipped, Tried
from engine.ladder.launch import climb_folder
from engine.project.load import load_project
from engine.project.wizard import PAGES, load_wizard
from engine.recipe.load import load_recipe
from engine.worker.reporter import Reporter
from tests.ladder_project import make_project
from tests.on_screen import NARROW, WIDE, held_lock, shown, until
from tui.app import RungApp
from tui.screens.dialogs import ErrorPanel
from tui.screens.wizard_job import JobWatch
from tui.screens.wizard_recipe import RecipePanel
from tui.widgets.text_panel import TextPanel
from tui.widgets.wizard_marks import MarkList
from tui.widgets.wizard_page import WizardPage

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return make_demo("format", tmp_path / "demo")


def page(app: RungApp) -> WizardPage:
    """The page in sight."""
    return next(each for each in app.screen.query(WizardPage) if each.display)


def ready(app: RungApp) -> bool:
    return "Why here" in shown(app)


@SIZES
async def test_through_all_pages_and_back_by_keys(demo: Path, size: tuple[int, int]) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(app))
        for name in PAGES:
            await until(pilot, lambda name=name: page(app).PAGE == name and ready(app))  # type: ignore[misc]
            assert f"{PAGES.index(name) + 1} " in app.screen.query_one("#steps", TextPanel).text
            await pilot.press("right_square_bracket")
        assert page(app).PAGE == "verdict", "there is no page after the last"
        await until(pilot, lambda: load_wizard(demo).page == "verdict")
        for name in reversed(PAGES):
            await until(pilot, lambda name=name: page(app).PAGE == name)  # type: ignore[misc]
            await pilot.press("left_square_bracket")
        await pilot.press("5")
        await until(pilot, lambda: page(app).PAGE == "rag")


@SIZES
async def test_what_is_changed_is_on_disk_and_there_on_return(demo: Path, size: tuple[int, int]) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(app))
        page(app).query_one(MarkList).focus()
        await pilot.press("space")
        page(app).query_one("#target", Input).focus()
        await pilot.press(*"0.9")
        await until(pilot, lambda: load_project(demo).target == 0.9)
        assert load_project(demo).situation.wants == ["facts", "format"]
        await pilot.press("escape", "4")
        system = page(app).query_one("#system", TextArea)
        system.focus()
        system.move_cursor(system.document.end)
        await pilot.press(*" Now!")
        await until(pilot, lambda: (load_project(demo).system_prompt or "").endswith(" Now!"))
        await pilot.press("escape", "5")
        page(app).query_one("#question", Input).focus()
        await pilot.press(*"who pays")
        await until(pilot, lambda: load_wizard(demo).drafts.get("question") == "who pays")
    # Another sitting, as after a lost connection.
    again = RungApp(demo, start="wizard")
    async with again.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(again))
        assert page(again).PAGE == "rag"
        assert page(again).query_one("#question", Input).value == "who pays"
        await pilot.press("4")
        assert page(again).query_one("#system", TextArea).text.endswith(" Now!")
        await pilot.press("1")
        assert page(again).query_one("#target", Input).value == "0.9"
        assert page(again).query_one(MarkList).marked == {"facts", "format"}
        assert "[x] facts" in shown(again) and "[ ] a hard task" in shown(again), "marks that need no colour"


async def test_opening_and_passing_through_changes_no_setting(demo: Path) -> None:
    files = [demo / "rung.yaml", demo / "recipes" / "sft.yaml"]
    before = [file.read_text() for file in files]
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        for number in range(1, 8):
            await pilot.press(str(number))
            await pilot.pause(0.2)
        await until(pilot, lambda: load_wizard(demo).page == "verdict")
    assert [file.read_text() for file in files] == before


async def test_a_value_that_cannot_be_is_marked_and_not_written(demo: Path) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        target = page(app).query_one("#target", Input)
        target.focus()
        await pilot.press(*"much")
        assert target.has_class("-wrong")
        await pilot.press("escape", "6")
        rate = page(app).query_one("#rate", Input)
        rate.focus()
        await pilot.press("end", *"x")
        assert rate.has_class("-wrong")
        await pilot.press("backspace", "home", "delete", "1")
        await until(
            pilot, lambda: load_recipe(demo / "recipes" / "sft.yaml").training.learning_rate == float(rate.value)
        )
    assert load_project(demo).target == 0.8


async def test_the_model_page_takes_the_marked_model_and_says_what_fits(demo: Path) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("2")
        await until(pilot, lambda: "parameters" in shown(app))
        assert "memory free" in shown(app) and "context 1,024 tokens" in shown(app) and "fits" in shown(app)
        models = page(app).query_one("#models", OptionList)
        models.focus()
        models.highlighted = models.get_option_index("Qwen/Qwen3-0.6B")
        await pilot.press("enter")
        await until(pilot, lambda: load_project(demo).model.name == "Qwen/Qwen3-0.6B")
        await until(pilot, lambda: "not here yet: f fetches it (about 1.1 GiB)" in shown(app))
        assert load_recipe(demo / "recipes" / "sft.yaml").model.name == "Qwen/Qwen3-0.6B"
        page(app).query_one("#name", Input).focus()
        await pilot.press(*"./nowhere", "enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert "nowhere" in shown(app)


async def test_the_recipe_is_shown_as_it_stands_in_its_file(demo: Path) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("6", "y")
        await until(pilot, lambda: isinstance(app.screen, RecipePanel))
        assert "method: sft" in shown(app)


async def test_the_prompt_is_tried_on_rows_beside_their_references(demo: Path, tmp_path: Path) -> None:
    code = Path(__file__).with_name("fake_generation_worker.py").read_text()
    python = tmp_path / "fake-python"
    python.write_text(f"#!{sys.executable}\n{code}")
    python.chmod(0o755)
    app = RungApp(demo, start="wizard")
    app.settings = replace(app.settings, worker_python=str(python))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("4", "t")
        await until(pilot, lambda: shown(app).count("The total is 412.50 [bold]euros") == 4)
        first = json.loads((demo / "data" / "validation.jsonl").read_text().splitlines()[0])
        assert first["messages"][-1]["content"] in shown(app)


def write_climb(demo: Path, *, over: bool) -> None:
    folder = climb_folder(demo)
    folder.requests.mkdir(parents=True)
    reporter = Reporter(folder.events)
    reporter.write(Tried("prompt", "2-shot fixed", "a" * 12, "exact_match", 0.25, 24))
    reporter.write(Phase("train", unit="run 20260101-000000-sft-aaaa"))
    reporter.write(Phase("evaluate", 5, 40, "answers"))
    if over:
        reporter.write(Skipped("rag", "the project has no documents"))
        reporter.write(Decided("prompt", None, ["because"]))
    reporter.close()


async def test_a_measurement_that_goes_on_is_found_again(demo: Path) -> None:
    write_climb(demo, over=False)
    with held_lock(climb_folder(demo)):
        app = RungApp(demo, start="wizard")
        async with app.run_test(size=NARROW) as pilot:
            await until(pilot, lambda: "tried 2-shot fixed: .25 on 24 validation rows" in shown(app))
            assert "evaluate 5 of 40 answers" in shown(app)
            assert "x stop" in shown(app)
            await pilot.press("x")
            await until(pilot, lambda: (climb_folder(demo).requests / "stop").exists())


def test_the_job_says_what_the_worker_did_in_order(demo: Path) -> None:
    write_climb(demo, over=True)
    view = JobWatch(climb_folder(demo)).look()
    assert view.run == "20260101-000000-sft-aaaa"
    assert view.lines == (
        "tried 2-shot fixed: .25 on 24 validation rows",
        "rag skipped: the project has no documents",
        "verdict: prompt",
    )
    assert view.over and view.status == "crashed", "nobody holds the lock, and there is no last word"


@SIZES
async def test_a_folder_without_a_project_says_where_to_begin(tmp_path: Path, size: tuple[int, int]) -> None:
    app = RungApp(tmp_path, start="wizard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "no project yet" in shown(app))
        await pilot.press("right_square_bracket", "3")
        assert not (tmp_path / "wizard.json").exists()


@SIZES
async def test_retrieval_alone_is_measured_by_a_button(tmp_path: Path, size: tuple[int, int]) -> None:
    make_project(tmp_path, Path("no/such/model"))
    app = RungApp(tmp_path, start="wizard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("5")
        await until(pilot, lambda: page(app).PAGE == "rag" and not page(app).query_one("#retrieval").disabled)
        page(app).query_one("#retrieval").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "hit@10" in page(app).query_one("#hits", TextPanel).text)
        said = page(app).query_one("#hits", TextPanel).text
        assert "retrieval alone, on 6 validation rows" in said and "6 of 6" in said and "MRR@10" in said
        await until(pilot, lambda: "retrieval alone" in shown(app))
