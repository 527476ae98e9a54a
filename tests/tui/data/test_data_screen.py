"""The Data screen: rows with their trained tokens, with and without colour, problems, figures, and its other states."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from rung.engine.check.check_data import CheckedData, answer
from rung.engine.core.errors import EngineError
from rung.tui.data import screen as data_screen
from rung.tui.data.lines import row_text
from rung.tui.data.screen import DataScreen
from rung.tui.shell.app import RungApp
from rung.tui.text.glyphs import ASCII, UNICODE
from rung.tui.text.histogram import histogram_lines
from tests.helpers.ladder_project import make_project
from tests.helpers.on_screen import NARROW, WIDE, project, shown, until
from tests.helpers.tiny import make_tiny_model


class Browser:
    """The worker's answers, given in this process."""

    failure: EngineError | None = None
    waits: threading.Event | None = None

    def __init__(self, asked: dict[str, Any], python: str | None = None) -> None:
        self._asked, self.closed = asked, False

    def open(self) -> dict[str, Any]:
        if self.waits is not None:
            self.waits.wait(30)
        if self.failure is not None:
            raise self.failure
        self._checked = CheckedData(self._asked)
        report: dict[str, Any] = json.loads(json.dumps(self._checked.report))
        return report

    def rows(self, find: str, kind: str | None, start: int, count: int) -> tuple[list[dict[str, Any]], int]:
        found = answer(self._checked, {"find": find, "kind": kind, "start": start, "count": count})
        return json.loads(json.dumps(found["rows"])), found["total"]

    def row(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(answer(self._checked, {"row": number})["row"]))
        return found

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def root(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data_screen, "DataBrowser", type("OwnBrowser", (Browser,), {}))
    make_project(tmp_path / "things", model)
    with (tmp_path / "things" / "data" / "train.jsonl").open("a") as stream:
        stream.write('{"question": "No answer\\u001b[31m?"}\n{broken [b]line\n')
    return tmp_path / "things"


def pieces(content: Content, style: str) -> list[str]:
    return [content.plain[span.start : span.end] for span in content.spans if str(span.style) == style]


def listed(app: RungApp) -> Callable[[], bool]:
    def reached() -> bool:
        screen = app.screen
        return isinstance(screen, DataScreen) and screen._row is not None and screen.query_one("#split").display

    return reached


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_rows_are_shown_with_their_trained_tokens(root: Path, size: tuple[int, int]) -> None:
    app = RungApp(root)
    async with app.run_test(size=size) as pilot:
        await pilot.press("d")
        await until(pilot, listed(app))
        text = shown(app)
        assert "data/train.jsonl · question_answer · 14 rows, 2 can't be used" in text
        assert "all rows: 14" in text and "trained tokens are green" in text
        assert "<|im_start|>user" in text and "<|im_end|>" in text and "? help" in text and "q quit" in text
        row = app.screen.query_one("#row", Static).content
        assert isinstance(row, Content)
        assert pieces(row, "$text-success") == ["red<|im_end|>"]
        await pilot.press("down")
        await until(pilot, lambda: "line 2 of" in shown(app))


async def test_problems_are_listed_with_their_lines_and_figures_are_drawn(root: Path) -> None:
    app = RungApp(root)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("d")
        await until(pilot, listed(app))
        await pilot.press("p")
        await until(pilot, lambda: "rows can't be used: 2" in shown(app))
        assert "13 ✖ answer: is missing" in shown(app) and "14 ✖ not valid JSON" in shown(app)
        await until(pilot, lambda: "question: No answer" in shown(app))
        assert "\x1b" not in shown(app)
        await pilot.press("f")
        await until(pilot, lambda: "Tokens of a row" in shown(app))
        assert "▇" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: "all rows: 14" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, DataScreen))


async def test_the_filter_narrows_and_another_split_is_read(root: Path) -> None:
    app = RungApp(root)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("d")
        await until(pilot, listed(app))
        await pilot.press("slash", *"number", "space", "3")
        await until(pilot, lambda: "all rows with 'number 3': 1" in shown(app))
        app.screen.query_one(Input).value = "no such row"
        await until(pilot, lambda: "No row fits" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "all rows: 14" in shown(app))
        await pilot.press("v")
        await until(pilot, lambda: "data/validation.jsonl" in shown(app))
        assert app.screen.query_one("#rows", OptionList).option_count == 6


async def test_long_lists_come_in_pages(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_screen, "PAGE_ROWS", 5)
    app = RungApp(root)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "all rows: 14, the first 5 here" in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: app.screen.query_one("#rows", OptionList).option_count == 10)
        assert app.screen.query_one("#rows", OptionList).highlighted == 4


async def test_without_colour_trained_tokens_are_underlined(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = RungApp(root)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("d")
        await until(pilot, listed(app))
        assert "trained tokens are underlined" in shown(app)
        row = app.screen.query_one("#row", Static).content
        assert isinstance(row, Content)
        assert pieces(row, "underline") == ["red<|im_end|>"]


def test_in_plain_ascii_trained_tokens_stand_in_brackets() -> None:
    row = {
        "line": 3, "source": "rows.jsonl", "used": True, "trained_tokens": 2, "tokens": 5, "reasons": ["secret: looks"],
        "parts": [{"title": "chosen", "pieces": [["Why? ", False], ["Because\n[b]", True]]}],
    }  # fmt: skip
    text = row_text(row, ASCII, in_colour=True, in_ascii=True).plain
    assert "Why? [[Because\n[b]]]" in text and "in [[ ]]" in text and "! secret: looks" in text
    assert "Because⏎\n[b]" in row_text(row, UNICODE, in_colour=True, in_ascii=False).plain


def test_the_histogram_marks_what_is_too_long() -> None:
    bins = [
        {"low": 0, "high": 49, "rows": 40},
        {"low": 50, "high": 99, "rows": 1},
        {"low": 100, "high": 149, "rows": 0},
    ]
    assert histogram_lines(bins, 80, ASCII, 10) == [
        "   0 to 49  ########## 40", "  50 to 99  #          1  max_length 80", "100 to 149             0  too long",
    ]  # fmt: skip


async def test_loading_and_failure_are_shown_and_reading_again_mends_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: Any = data_screen.DataBrowser
    own.waits = threading.Event()
    own.failure = EngineError("The tokenizer can't be loaded", "no such [b]folder", "rung doctor checks")
    app = RungApp(root)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "Reading the train rows" in shown(app))
        own.waits.set()
        await until(pilot, lambda: "The rows can't be shown" in shown(app))
        assert "no such [b]folder" in shown(app) and "rung doctor checks" in shown(app)
        own.failure = None
        await pilot.press("f5")
        await until(pilot, listed(app))


async def test_a_folder_without_a_project_says_what_to_do(tmp_path: Path) -> None:
    project(tmp_path / "empty", {})
    (tmp_path / "empty" / "rung.yaml").unlink()
    app = RungApp(tmp_path / "empty", start="runs")
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "This folder holds no project" in shown(app))
        await pilot.press("v", "p", "f", "f5")
        assert "This folder holds no project" in shown(app)


async def test_the_worker_ends_with_the_screen(root: Path) -> None:
    app = RungApp(root)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("d")
        await until(pilot, listed(app))
        screen = app.screen
        assert isinstance(screen, DataScreen)
        browser: Any = screen._browser
        assert not browser.closed
    assert browser.closed


async def test_the_wizard_and_the_palette_lead_here(root: Path) -> None:
    app = RungApp(root, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "[1 situation]" in shown(app))
        await pilot.press("3")
        await until(pilot, lambda: "Look at the rows" in shown(app))
        await pilot.click("#look")
        await until(pilot, listed(app))
        await pilot.press("escape")
        await until(pilot, lambda: "[3 data]" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys" in shown(app))
        assert "data: rows, coloured mask and problems" in app.screen.query_one(Static).render().plain  # type: ignore[union-attr]
