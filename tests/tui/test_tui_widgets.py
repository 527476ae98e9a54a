"""Small widgets: text that repaints what changed, wrapped labels, bars, the ladder in one line and in a table."""

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region

from rung.tui.shell.ladder_rail import ladder_line, ladder_table
from rung.tui.text.glyphs import ASCII, UNICODE, bar
from rung.tui.watch.ladder import Ladder, Standing
from rung.tui.widgets.hanging import hanging
from rung.tui.widgets.text_panel import TextPanel


class Noting(TextPanel):
    """Notes what it has repainted; None for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Region | None] = []

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "Noting":
        if hasattr(self, "asked"):
            self.asked += regions or [None]
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self


class PanelApp(App[None]):
    """One panel."""

    CSS = "Noting { width: 20; height: 5; }"

    def compose(self) -> ComposeResult:
        yield Noting()


@pytest.mark.parametrize(
    ("after", "rows"),
    [
        (Content("one\ntwo\nthree"), []),
        (Content("one\n2\nthree"), [1]),
        (Content.assemble("one\n", ("two", "bold"), "\nthree"), [1]),
        (Content("one\ntwo\nthree\nfour"), [None]),
        (Content("one\na line that is longer than the panel is wide\nthree"), [None]),
    ],
)
async def test_a_panel_repaints_the_lines_that_changed(after: Content, rows: list[int | None]) -> None:
    app = PanelApp()
    async with app.run_test(size=(40, 10)) as pilot:
        panel = app.query_one(Noting)
        panel.put(Content("one\ntwo\nthree"))
        await pilot.pause()
        panel.asked.clear()
        panel.put(after)
        assert [None if region is None else region.y for region in panel.asked] == rows
        await pilot.pause()
        assert panel.render_line(0).text.strip() == "one"
        assert panel.text == after.plain


async def test_markup_in_a_panel_is_text() -> None:
    app = PanelApp()
    async with app.run_test(size=(40, 10)) as pilot:
        panel = app.query_one(Noting)
        panel.put("[bold]x[/] [")
        await pilot.pause()
        assert panel.render_line(0).text.strip() == "[bold]x[/] ["


def test_later_lines_stand_below_the_first_words() -> None:
    text = hanging(Content("label  "), Content("one two three\nfour"), 20).plain
    assert text.split("\n") == ["label  one two three", "       four"]
    assert hanging(Content("label  "), Content("one two"), 10).plain == "label  one two"


@pytest.mark.parametrize(
    ("fraction", "mark_at", "drawn"),
    [(0.5, None, "##.."), (0.5, 0.75, "##.|"), (-1, None, "...."), (7, None, "####"), (0, 9.0, "...|")],
)
def test_bars(fraction: float, mark_at: float | None, drawn: str) -> None:
    assert bar(fraction, 4, ASCII, mark_at) == drawn


MEASURED = Ladder(
    (Standing("prompt", 0.41, 0.35, 0.47), Standing("rag", 0.58, 0.52, 0.64, chosen=True), Standing("tune")),
    "exact_match",
    0.8,
    "rag",
)


def test_the_ladder_in_one_line() -> None:
    line = "Ladder  Prompt .41  →  RAG .58 ✔  →  Tune ● running   target .80"
    assert ladder_line(MEASURED, running=True, marks=UNICODE).plain == line
    assert ladder_line(Ladder(), running=False, marks=ASCII).plain == "Ladder  Prompt -  >  RAG -  >  Tune -"


def test_the_ladder_in_a_table() -> None:
    table = ladder_table(MEASURED, running=False, marks=UNICODE).plain
    assert table.split("\n") == [
        "1 Prompt .41 ±.06",
        "2 RAG    .58 ±.06 ✔",
        "3 Tune   –",
        "target   .80",
        "exact_match",
    ]
