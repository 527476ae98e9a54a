"""The Runs screen: every run with its state, live ones as they go, filtered and opened by keys."""

from pathlib import Path

import pytest
from textual.widgets import DataTable, Input

from rung.engine.jobs.folder import RunFolder
from rung.tui.run.screen import RunScreen
from rung.tui.runs.screen import RunsScreen
from rung.tui.shell.app import RungApp
from rung.tui.text.glyphs import ASCII, UNICODE
from rung.tui.text.sparkline import sparkline
from rung.tui.text.words import clock_time
from tests.helpers.on_screen import NARROW, THREE_RUNS, WIDE, held_lock, project, settled, shown, until
from tests.helpers.recorded import FINISHED_RUN, START_TIME, write_events, write_run

LIVE = "20251123-093000-sft-3f2a"


async def test_every_run_with_state_figures_and_curve(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        await until(pilot, lambda: "✖ crashed" in shown(app))
        rows = [line for line in shown(app).split("\n") if "1122-" in line or "1123-" in line]
        assert [row.split("│")[-1].split()[1:7] for row in rows] == [
            ["crashed", "1123-sft-3f2a", "sft", "qwen3-0.6b", "LoRA", "r16"],
            ["finished", "1122-dpo-77c0", "dpo", "pocket", "LoRA", "r8"],
            ["failed", "1122-sft-01be", "sft", "pocket", "full", "41/300"],
        ]
        assert "412/620" in rows[0] and "invoices to JSON" in rows[0]
        assert set(rows[0]) & set(UNICODE.spark)
        assert "target   .80" in shown(app)


async def test_narrow_keeps_state_run_step_and_loss(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app, 3))
        await until(pilot, lambda: "120/120" in shown(app))
        assert "✔ finished   1122-dpo-77c0" in shown(app)
        assert shown(app).split("\n")[-1].endswith("? help  q quit")


async def test_a_start_that_comes_after_its_row_is_shown_whole(tmp_path: Path) -> None:
    folder = write_run(project(tmp_path, {}), LIVE, FINISHED_RUN[:1])
    app = RungApp(tmp_path)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "1123-sft-3f2a" in shown(app))
        write_events(folder.events, FINISHED_RUN)
        await until(pilot, lambda: clock_time(START_TIME + 1) in shown(app))


async def test_an_empty_project_says_how_to_start(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, {}))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "No runs yet." in shown(app))
        assert "rung run RECIPE" in shown(app)
        await pilot.press("n")
        await until(pilot, lambda: "There is no recipe" in shown(app))


async def test_words_filter_the_table(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        table = app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count == 3)
        await pilot.press("slash", *"#invoices")
        await until(pilot, lambda: table.row_count == 1)
        await pilot.press("ctrl+u", *"pocket failed", "enter")
        await until(pilot, lambda: table.row_count == 1 and "far too fast" in shown(app))
        assert app.focused is table
        await pilot.press("slash", *"zz")
        await until(pilot, lambda: "No run fits 'zz'" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 3)
        assert app.screen.query_one("#filter", Input).value == ""


async def test_escape_leaves_the_filter_first_and_then_one_screen_only(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS), run="20251122-180500-dpo-77c0")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        for name in ("adapters", "runs"):
            app.open_screen(name)
            await pilot.pause()
        below = list(app.screen_stack)[:-1]
        assert isinstance(app.screen, RunsScreen) and len(below) == 2
        await pilot.press("slash", *"dpo", "escape")
        assert isinstance(app.screen, RunsScreen) and not app.screen.query_one("#filter", Input).display
        await pilot.press("escape")
        assert list(app.screen_stack) == below


async def test_several_live_runs_and_new_ones_show_as_they_go(tmp_path: Path) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus", "20251123-094000-sft-0001": "sft-two-gpus"})
    folders = [RunFolder((root / "runs" / run).resolve()) for run in (LIVE, "20251123-094000-sft-0001")]
    with held_lock(folders[0]), held_lock(folders[1]):
        app = RungApp(root)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, settled(app, 2))
            await until(pilot, lambda: shown(app).count("● running") == 3)  # two runs, and the ladder's tune rung
            with folders[0].events.open("a") as events:
                events.write('{"v":1,"seq":999,"time":1763891200,"type":"step","step":413,"epoch":1.3,"loss":0.5}\n')
            await until(pilot, lambda: "413/620" in shown(app) and "412/620" in shown(app))
            write_run(root, "20251124-000000-sft-beef", FINISHED_RUN)
            await until(pilot, lambda: "1124-sft-beef" in shown(app))
    # The holders are gone: their runs ended without a last word.


async def test_enter_opens_a_run_and_escape_comes_back_to_it(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        await until(pilot, lambda: app.screen.query_one(DataTable).row_count == 3)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert isinstance(app.screen, RunScreen) and app.screen.run_id == "20251122-180500-dpo-77c0"
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        selected = app.screen.selected()
        assert selected is not None and selected.id == "20251122-180500-dpo-77c0"


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 8, ""),
        ([1.0], 8, "▁"),
        ([0.0, 1.0, 2.0, 3.0], 8, "▁▃▆█"),
        ([3.0, float("nan"), 0.0], 8, "█▁"),
        ([float("nan")], 8, ""),
        ([1.0, float("inf"), 2.0], 8, "▁█"),
        ([0.0] * 50 + [1.0] * 50, 4, "▁▁██"),
    ],
)
def test_sparkline(values: list[float], width: int, drawn: str) -> None:
    assert sparkline(values, width, UNICODE) == drawn


def test_a_sparkline_reads_a_bounded_number_of_points() -> None:
    class Counting(list[float]):
        read = 0

        def __getitem__(self, at: object) -> float:  # type: ignore[override]
            type(self).read += 1
            return 1.0

    sparkline(Counting([1.0] * 100_000), 8, ASCII)
    assert Counting.read < 1000
