"""Keys typed while a page loads go to the page; i is the page's text field on every screen that has one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input

from rung.tui.data.screen import DataScreen
from rung.tui.runs.screen import RunsScreen
from rung.tui.shell.app import RungApp
from rung.tui.wizard.screen import WizardScreen
from rung.tui.wizard.view import read_view
from tests.helpers.ladder_project import make_model, make_project
from tests.helpers.on_screen import NARROW, WIDE, settled, shown, until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    make_project(tmp_path / "p", make_model(tmp_path / "model"))
    return tmp_path / "p"


@pytest.fixture
def slow_reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The wizard's page is read no sooner than the event is set."""
    read, go_on = read_view, threading.Event()

    def slow(*arguments: object) -> object:
        go_on.wait()
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("rung.tui.wizard.screen.read_view", slow)
    yield go_on
    go_on.set()


def type_at_once(app: RungApp, *keys: str) -> None:
    for key in keys:
        app.post_message(
            Key({"-": "minus", "/": "slash", ".": "full_stop"}.get(key, key), key if len(key) == 1 else None)
        )


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_a_model_name_typed_while_the_wizard_opens_stands_whole_in_its_field(
    size: tuple[int, int], root: Path, slow_reading: threading.Event
) -> None:
    app = RungApp(root, start="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        # Each of these letters is also a key of some page or screen.
        type_at_once(app, "w", "2", "i", *"Qwen/qh-x.m]r2cabd")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and app.screen.opening)
        await pilot.pause(0.05)
        slow_reading.set()
        await until(pilot, lambda: not app._keys and app._on_its_way is None)
        assert isinstance(app.screen, WizardScreen)
        assert app.screen.query_one("#name", Input).value == "Qwen/qh-x.m]r2cabd"
        assert app.focused is app.screen.query_one("#name", Input)


async def test_escape_leaves_a_page_that_still_loads_and_what_was_typed_for_it_is_forgotten(
    root: Path, slow_reading: threading.Event
) -> None:
    app = RungApp(root, start="runs")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        type_at_once(app, "w", "2", "i", *"dab")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and app.screen.opening)
        type_at_once(app, "escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        slow_reading.set()
        await until(pilot, lambda: not app._keys and app._on_its_way is None)
        assert isinstance(app.screen, RunsScreen) and len(app.screen_stack) == 1


async def test_a_page_that_cannot_be_read_holds_no_keys_back(tmp_path: Path) -> None:
    (tmp_path / "rung.yaml").write_text("target: [\n")
    app = RungApp(tmp_path, start="runs")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        type_at_once(app, "w", *"dab")
        await until(pilot, lambda: "can't read this project" in shown(app))
        assert isinstance(app.screen, WizardScreen), "what was typed was for the page that isn't there"
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


PAGES = {"1": "task", "2": "name", "3": "file", "4": "system", "5": "question"}


async def test_i_is_the_text_field_of_each_wizard_page(root: Path) -> None:
    app = RungApp(root, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and not app.screen.opening)
        for key, field in PAGES.items():
            await pilot.press(key, "i")
            await until(pilot, lambda field=field: app.focused is not None and app.focused.id == field)  # type: ignore[misc]
            await pilot.press("escape")
        # Without a recipe there is nothing to write on its page, and the foot doesn't offer the key.
        await pilot.press("6")
        await until(pilot, lambda: not app.screen.check_action("field", ()))


@pytest.mark.parametrize(("name", "kind"), [("runs", RunsScreen), ("data", DataScreen)])
async def test_i_is_the_filter_of_a_list(name: str, kind: type, root: Path) -> None:
    app = RungApp(root, start=name)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 0))
        type_at_once(app, "i", *"qhb")
        await until(pilot, lambda: app.screen.query_one("#filter", Input).value == "qhb")
        assert isinstance(app.screen, kind)
