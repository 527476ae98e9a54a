"""The chart on a screen: it repaints what changed and nothing else, and every cell has a style."""

from array import array

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from rung.tui.chart import Chart, Series
from rung.tui.chart.window import Window
from rung.tui.settings.themes import OUR_TOKENS
from tests.helpers.program import ROOT


class ChartApp(App[None]):
    """One chart, and a list of what it asked to have repainted."""

    CSS_PATH = str(ROOT / "tui" / "chart" / "chart.tcss")

    def compose(self) -> ComposeResult:
        yield Recording()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return OUR_TOKENS


class Recording(Chart):
    """Notes every region it has repainted; None for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Region | None] = []

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "Recording":
        if hasattr(self, "asked") and repaint:
            self.asked += regions or [None]
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self


def falling(count: int) -> Series:
    return Series("a", "loss", array("d", range(1, count + 1)), array("d", (2 / step for step in range(1, count + 1))))


async def test_one_more_point_repaints_a_few_cells() -> None:
    app = ChartApp()
    async with app.run_test(size=(120, 30)):
        chart = app.query_one(Recording)
        chart.show([falling(401)], 1000)
        chart.asked.clear()
        chart.show([falling(402)], 1000)
        assert chart.asked and None not in chart.asked
        cells = sum(region.area for region in chart.asked if region is not None and region.y > 0)
        assert cells <= 20
        chart.asked.clear()
        chart.show([falling(402)], 1000)
        assert chart.asked == []


async def test_every_cell_of_every_line_has_a_style() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Recording)
        chart.placeholder = "nothing yet\nbut soon"
        for shown in ([], [falling(50)], [falling(50), falling(3)]):
            chart.show(shown, 100)
            await pilot.pause()
            for y in range(20):
                strip = chart.render_line(y)
                assert strip.cell_length == chart.size.width
                assert all(segment.style is not None for segment in strip)


async def test_a_chart_without_data_says_why() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)):
        chart = app.query_one(Recording)
        chart.placeholder = "waits for its slot"
        chart.action_move_cursor(-1)
        chart.action_zoom(0.5)
        assert chart.cursor is None and chart.window == Window()
        assert "waits for its slot" in "".join(chart.render_line(y).text for y in range(10))


@pytest.mark.parametrize("size", [(9, 3), (12, 2), (1, 1), (200, 60)])
async def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    app = ChartApp()
    async with app.run_test(size=size) as pilot:
        chart = app.query_one(Recording)
        chart.show([falling(30)])
        await pilot.pause()
        drawn = [chart.render_line(y).cell_length for y in range(chart.size.height)]
        assert drawn == [chart.size.width] * chart.size.height


async def test_a_click_puts_the_cursor_and_a_resize_redraws() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Recording)
        chart.show([falling(100)], 100)
        await pilot.click(Recording, offset=(44, 8))
        assert chart.cursor == pytest.approx(51, abs=2)
        await pilot.resize_terminal(60, 15)
        assert chart.render_line(1).cell_length == 60


async def test_data_that_shrank_under_a_new_key_are_drawn_anew() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)):
        chart = app.query_one(Recording)
        chart.show([falling(5000)])
        fewer = falling(40)
        chart.show([Series("after resume", "loss", fewer.steps, fewer.values)])
        assert chart.window == Window()
        assert chart.span()[1] < 60


@pytest.mark.parametrize("more", [0, 2])
@pytest.mark.parametrize("kept", [0, 1, 20, 5000])
async def test_a_run_may_go_on_or_go_back_between_two_redraws(kept: int, more: int) -> None:
    # Its steps change at once; the moving average and what was drawn from it only with the next redraw.
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart, curve, average = app.query_one(Recording), falling(5000), falling(5000)
        chart.show([curve, Series("b", "smoothed", curve.steps, average.values, mark="o", marked=True)])
        del curve.steps[kept:], curve.values[kept:]
        for step in range(5001, 5001 + more):
            curve.steps.append(step)
            curve.values.append(0.1)
        chart.cursor = 3.0
        chart.action_zoom(0.5)
        await pilot.resize_terminal(70, 18)
        chart.action_reset_view()
        await pilot.pause()
        assert chart.window == Window() and chart.render_line(1).cell_length == chart.size.width


async def test_curves_may_grow_while_they_are_shown() -> None:
    # A view of an array forbids it to grow: the chart must hold none between redraws.
    app = ChartApp()
    async with app.run_test(size=(80, 20)):
        curve = falling(5000)
        app.query_one(Recording).show([curve])
        curve.steps.append(5001)
        curve.values.append(0.1)
        app.query_one(Recording).show([curve])
        assert app.query_one(Recording).span()[1] >= 5001
