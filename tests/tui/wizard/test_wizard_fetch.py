"""The wizard's model page fetches a hub model in a worker: begun, stopped, left, gone on with, refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import change_project
from rung.engine.hub.cache import bytes_begun, cached_model
from rung.engine.hub.fetch import fetch_folder
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ErrorPanel
from rung.tui.text.words import gibibytes
from rung.tui.wizard.job_panel import JobPanel
from tests.helpers.on_screen import NARROW, WIDE, shown, until
from tests.helpers.small_hub import Repository, SmallHub, hand_made_model, held_at, small_hub, use_hub
from tests.helpers.tiny import make_tiny_model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with small_hub() as serving:
        serving.repositories["org/tiny"] = Repository(hand_made_model(context=384))
        use_hub(serving, tmp_path, monkeypatch)
        yield serving


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    root = make_demo("format", tmp_path / "demo")
    change_project(root, {"model.name": "org/tiny"})
    return root


async def test_fetched_by_its_key_left_stopped_and_gone_on_with(demo: Path, hub: SmallHub) -> None:
    hub.hold_after = 20_000
    folder = fetch_folder("org/tiny", None)
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        await pilot.press("2")
        await until(pilot, lambda: "not here yet: f fetches it" in shown(app))
        assert "are free at" in shown(app)
        await pilot.press("f")
        await until(pilot, lambda: "Fetching: running" in shown(app) and "it is being fetched" in shown(app))
        await until(pilot, lambda: " of " in app.screen.query_one("#fetch", JobPanel).text)
    # The screen is gone, the download is not; another sitting finds it.
    held_at(folder, 20_000)
    again = RungApp(demo, start="wizard")
    async with again.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "Fetching: running" in shown(again))
        await pilot.press("2", "x")
        await until(pilot, lambda: "not whole: " in shown(again) and "f goes on fetching it" in shown(again))
        assert not again.screen.query_one("#fetch", JobPanel).display
        assert bytes_begun("org/tiny") >= 20_000
        hub.hold_after = None
        await pilot.press("f")
        await until(pilot, lambda: "in the hub's cache, whole" in shown(again))
        await until(pilot, lambda: "context 384 tokens" in shown(again) and "fits" in shown(again))
        assert "f" not in again.screen.active_bindings
    assert cached_model("org/tiny") is not None
    assert str(hub.downloads()[-1]["range"]).startswith("bytes=")


async def test_a_gated_model_is_explained_on_the_page(demo: Path, hub: SmallHub) -> None:
    hub.repositories["org/tiny"].gated = True
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        await pilot.press("2", "f")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert "org/tiny is gated" in shown(app) and "hf auth login" in shown(app)


def test_the_prompt_trial_says_how_far_its_models_download_is() -> None:
    from rung.tui.wizard.trial import TrialBench

    bench = TrialBench(lambda message: None)
    said = {"type": "phase", "id": 1, "name": "download", "done": 1 << 29, "total": 1 << 30, "unit": "bytes"}
    assert bench.take(said) is None
    assert bench.state == f"downloading the model: {gibibytes(1 << 29)} of {gibibytes(1 << 30)}"
    bench.take({"type": "phase", "id": 1, "name": "load", "done": None, "total": None, "unit": None})
    assert bench.state == "loading the model …"
    bench.take({"type": "ready", "id": 1, "device": "cpu", "seconds": 0.1})
    assert bench.state == "answering …"


@pytest.mark.slow
async def test_a_question_says_how_far_its_embedding_models_download_is(demo: Path, hub: SmallHub) -> None:
    model = Repository.of_folder(make_tiny_model(demo / "embedding"))
    model.files["1_Pooling/config.json"] = b'{"pooling_mode_cls_token": true}'
    hub.repositories["org/embedding"] = model
    hub.hold_after = 20_000
    change_project(demo, {"documents.kind": "dense", "documents.embedding_model": "org/embedding"})
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        await pilot.press("5", "i", *"orders", "enter")
        await until(pilot, lambda: "downloading org/embedding: " in shown(app))
        hub.go_on.set()
        await until(pilot, lambda: "searched in" in shown(app))
        assert "downloading" not in shown(app)
