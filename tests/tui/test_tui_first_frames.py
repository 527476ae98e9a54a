"""What stands on a screen before it has read anything: that it reads, in the layout of this terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rung.tui.shell.app import RungApp
from rung.tui.shell.screen_table import screens
from tests.helpers.ladder_project import make_model, make_project
from tests.helpers.on_screen import NARROW, REPLAYS, WIDE, project, settled, shown, until

RUN = "20251123-093000-dpo-3f2a"
# What is said of things that are not there.
FALSE = (
    "No runs yet", "Nothing is", "Nothing yet", "No loss", "queued", "running", "Prompt", "No reading", "No sample",
    "No probe", "holds no project", "There is nothing",
)  # fmt: skip


@contextmanager
def frames(app: RungApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every picture that is painted, in order."""
    pictures: list[str] = []
    display = app._display

    def keep(screen: Any, renderable: Any) -> None:
        display(screen, renderable)
        if renderable is not None and screen is app.screen and screen.size:
            pictures.append(shown(app))

    with monkeypatch.context() as patch:
        patch.setattr(app, "_display", keep)
        yield pictures


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", screens())
async def test_the_first_picture_claims_nothing_and_has_its_layout(
    name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "p", {RUN: "dpo-cpu"})
    make_project(root, make_model(tmp_path / "model"))
    app = RungApp(root, run=RUN) if name == "run" else RungApp(root, start=name)
    # Nothing is read before the first picture is out, however fast the disk is.
    started: list[str] = []
    monkeypatch.setattr(app._tailer, "start", lambda: started.append("tailer"))
    monkeypatch.setattr(app, "errand", lambda *_: started.append("errand"))
    with frames(app, monkeypatch) as pictures:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: pictures and started)
            await pilot.pause(0.1)
            assert "Reading" in pictures[0] or "Looking for" in pictures[0]
            for picture in pictures:
                assert not [words for words in FALSE if words in picture], picture
                wide = "╭─ Ladder" in picture or "+- Ladder" in picture
                assert wide == (size == WIDE), picture


@pytest.mark.parametrize("key", ["2", "3", "4", "5"])
async def test_the_panels_of_a_run_say_that_they_read(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = RungApp(project(tmp_path, {RUN: "dpo-cpu"}), run=RUN)
    monkeypatch.setattr(app._tailer, "start", lambda: None)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: shown(app).count("Reading the run …") == 2)
        assert not [words for words in FALSE if words in shown(app)]


async def test_a_run_that_ends_without_a_loss_is_not_said_to_wait_for_it(tmp_path: Path) -> None:
    root = project(tmp_path, {RUN: "dpo-cpu"})
    lines = (REPLAYS / "dpo-cpu.jsonl").read_text().splitlines(keepends=True)
    events = root / "runs" / RUN / "events.jsonl"
    events.write_text("".join(line for line in lines if '"step", ' not in line and '"evaluation"' not in line))
    app = RungApp(root, run=RUN)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "No loss in this run." in shown(app))


async def test_a_scoreboard_that_cannot_be_read_says_so_in_its_place(tmp_path: Path) -> None:
    root = project(tmp_path, {})
    (root / "scoreboard.json").write_text("{")
    app = RungApp(root, start="scoreboard")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "The scoreboard can't be read." in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: "No runs yet." in shown(app))
