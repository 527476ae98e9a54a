"""The wizard on screen: through all pages by keys, leaving in the middle and coming back, nothing lost."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Select, TextArea

from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import PAGES, Page, change_project, load_wizard
from rung.engine.jobs.events import Phase
from rung.engine.jobs.ladder_events import Decided, Skipped, Tried
from rung.engine.jobs.reporter import Reporter
from rung.engine.ladder.launch import climb_folder
from rung.engine.project.load import load_project
from rung.engine.recipe.load import load_recipe
from rung.tui.shell.app import RungApp
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.wizard.job import JobWatch
from rung.tui.wizard.marks import MarkList
from rung.tui.wizard.page import FieldLine, WizardPage
from rung.tui.wizard.recipe import RecipePanel
from tests.engine.project.test_follow import EVERYWHERE, comments
from tests.helpers.ladder_project import make_project
from tests.helpers.on_screen import NARROW, WIDE, held_lock, shown, until
from tests.helpers.program import ROOT

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


# By page: field, what is typed, what is said of it. What a thread finds out is asked for with enter.
WRONG: dict[str, list[tuple[str, str, str]]] = {
    "situation": [
        ("target", "abc", "abc is not a number"),
        ("target", "nan", "nan is not a number"),
        ("target", "-0.1", "is no score of exact_match"),
        ("target", "1.7", "is no score of exact_match"),
    ],
    "model": [("name", "./nowhere", "There is no model folder"), ("endpoint", "big", "That is not an endpoint")],
    "data": [("file", "nowhere.jsonl", "nowhere.jsonl")],
    "prompt": [
        ("template", "no place", "it lacks {question}"),
        ("shots", "-1", "at least 0"),
        ("shots", "1.5", "1.5 is not a whole number"),
        ("shots", "abc", "abc is not a number"),
    ],
    "rag": [
        ("folder", "nowhere", "There are no documents at nowhere"),
        ("size", "49", "50 to 100,000"),
        ("size", "abc", "abc is not a number"),
        ("size", "60", "overlap"),
        ("k", "0", "1 to 1,000"),
    ],
    "tune": [
        ("rate", "0", "more than 0"),
        ("rate", "inf", "inf is not a number"),
        ("rate", "abc", "abc is not a number"),
        ("epochs", "abc", "abc is not a number"),
        ("epochs", "-1", "more than 0"),
        ("replay", "1", "at least 0, below 1"),
        ("replay", "abc", "abc is not a number"),
    ],
}
ASKED_OF_A_THREAD = ("name", "endpoint", "file", "folder")


@pytest.mark.parametrize(("where", "size"), [*((name, NARROW) for name in WRONG), ("tune", WIDE)])
async def test_a_wrong_value_is_told_beside_its_field_stays_there_and_is_not_written(
    demo: Path, where: Page, size: tuple[int, int]
) -> None:
    if where == "data":
        for path in (demo / "data").iterdir():
            path.unlink()
    change_project(demo, {"documents.overlap": 100})
    files = [demo / "rung.yaml", demo / "recipes" / "sft.yaml"]
    before = [file.read_text() for file in files]
    last = {field: typed for field, typed, _ in WRONG[where]}
    key = str(PAGES.index(where) + 1)

    def wrong(app: RungApp) -> dict[str, str]:
        return {line.field: line.input.value for line in page(app).query(FieldLine) if line.has_class("-wrong")}

    app = RungApp(demo, start="wizard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press(key)
        for field, typed, said in WRONG[where]:
            entry = page(app).query_one(f"#{field}", Input)
            entry.focus()
            entry.value = ""
            await pilot.press(*typed, *(["enter"] if field in ASKED_OF_A_THREAD else []))
            await until(pilot, lambda said=said: said in " ".join(shown(app).split()))  # type: ignore[misc]
            assert wrong(app)[field] == typed
        await until(pilot, lambda: load_wizard(demo).drafts == last)
        await pilot.press("escape", "1", "7", key)
        await until(pilot, lambda: page(app).PAGE == where)
        assert wrong(app) == last, "left and come back to, it is as it was typed"
    again = RungApp(demo, start="wizard")
    async with again.run_test(size=size) as pilot:
        await until(pilot, lambda: ready(again))
        at_once = {field: typed for field, typed in last.items() if field not in ASKED_OF_A_THREAD and typed != "60"}
        await until(pilot, lambda: at_once.items() <= wrong(again).items())
        assert {field: page(again).query_one(f"#{field}", Input).value for field in last} == last
    assert [file.read_text() for file in files] == before


async def test_a_value_put_right_is_written_and_is_no_draft_any_more(demo: Path) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: ready(app))
        target = page(app).query_one("#target", Input)
        target.focus()
        await pilot.press(*"1.7")
        await until(pilot, lambda: load_wizard(demo).drafts.get("target") == "1.7")
        await pilot.press("home", "delete", "0")
        await until(pilot, lambda: load_project(demo).target == 0.7 and "target" not in load_wizard(demo).drafts)
        assert not page(app).query(".field.-wrong")


async def test_a_target_of_another_metric_is_told_when_the_metric_changes(demo: Path) -> None:
    change_project(demo, {"metrics": ["reference_perplexity"], "target": 3.0})
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        page(app).query_one("#metric", Select).value = "token_f1"
        await until(pilot, lambda: load_project(demo).metrics == ["token_f1"])
        assert load_project(demo).target is None and page(app).query_one("#target", Input).value == "3"
        await until(pilot, lambda: "is no score of token_f1" in shown(app))


async def test_what_nobody_chose_follows_the_method_and_every_comment_stays(demo: Path) -> None:
    file = demo / "recipes" / "sft.yaml"
    file.write_text(EVERYWHERE)
    kept = comments(EVERYWHERE)
    app = RungApp(demo, start="wizard")

    async def choose(field: str, value: str) -> None:
        await until(pilot, lambda: not page(app).query_one(f"#{field}").disabled)
        page(app).query_one(f"#{field}", Select).value = value

    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("6")
        await choose("method", "dpo")
        await until(pilot, lambda: page(app).query_one("#rate", Input).value == "0.0003")
        assert page(app).query_one("#epochs", Input).value == "1"
        assert (load_recipe(file).training.learning_rate, load_recipe(file).method) == (3e-4, "dpo")
        rate = page(app).query_one("#rate", Input)
        rate.focus()
        rate.value = "7.7e-5"
        await until(pilot, lambda: load_recipe(file).training.learning_rate == 7.7e-5)
        await pilot.press("escape")
        await until(pilot, lambda: "yours; recommended: 0.0003" in shown(app))
        await choose("trained", "full")
        await until(pilot, lambda: load_recipe(file).adapter is None)
        await until(pilot, lambda: "yours; recommended: 0.0001" in shown(app))
        assert load_recipe(file).training.learning_rate == 7.7e-5, "chosen, so kept"
        rate.focus()
        rate.value = ""
        await until(pilot, lambda: load_recipe(file).training.learning_rate == 1e-4)
        page(app).query_one("#replay", Input).focus()
        page(app).query_one("#replay", Input).value = "0.25"
        await until(pilot, lambda: load_recipe(file).data.replay.ratio == 0.25)
        assert load_recipe(file).data.replay.source == "self", "the source was the person's"
        assert comments(file.read_text()) == kept
        await choose("trained", "lora")
        await until(pilot, lambda: load_recipe(file).adapter is not None)
        adapter = load_recipe(file).adapter
        assert adapter is not None and (adapter.r, adapter.target_modules) == (8, ["q_proj", "v_proj"])
    assert comments(file.read_text()) == kept


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
        await until(pilot, lambda: "There is no model folder" in shown(app))


async def test_the_recipe_is_shown_as_it_stands_in_its_file(demo: Path) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("6", "y")
        await until(pilot, lambda: isinstance(app.screen, RecipePanel))
        assert "method: sft" in shown(app)


async def test_the_prompt_is_tried_on_rows_beside_their_references(demo: Path, tmp_path: Path) -> None:
    code = (ROOT / "tests" / "helpers" / "fake_generation_worker.py").read_text()
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
