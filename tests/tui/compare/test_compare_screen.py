"""The Compare screen: over a worker that only speaks the protocol, and once over the real one."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from textual.content import Content, Span
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.folder import RunFolder
from rung.tui.compare.answer_pane import AnswerPane
from rung.tui.compare.dialogs import DecodingDialog
from rung.tui.compare.prompt import PromptInput
from rung.tui.compare.screen import CompareScreen
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ErrorPanel
from rung.tui.widgets.text_panel import TextPanel
from tests.helpers.adapters_on_the_spot import make_adapter
from tests.helpers.fake_generation_worker import fake_generation_python
from tests.helpers.tiny import make_tiny_model

PATIENCE_SECONDS = 300.0
ROWS = [
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the total?"},
                  {"role": "assistant", "content": "412.50"}]},
    {"messages": [{"role": "user", "content": "Who pays?"}, {"role": "assistant", "content": "Ada"}]},
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    return fake_generation_python(tmp_path)


def make_run(root: Path, run: str, python: Path | None = None, model: str = "model", **recipe: Any) -> RunFolder:
    """A finished run, as far as Compare looks at one."""
    folder = RunFolder(root / "runs" / run)
    (folder.path / "adapter").mkdir(parents=True)
    (folder.path / "adapter" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    folder.recipe.write_text(
        yaml.safe_dump(
            {"method": "sft", "model": {"name": model}, "worker_python": str(python) if python else None,
             "data": {"train": "train.jsonl", "validation": "validation.jsonl"}} | recipe
        )
    )  # fmt: skip
    (root / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


@pytest.fixture
def project(tmp_path: Path, fake_python: Path) -> Path:
    root = tmp_path / "invoices"
    make_run(root, "20260101-000000-sft-aaaa", fake_python)
    return root


class Driver:
    """The app on its Compare screen, and waiting for what threads bring."""

    def __init__(self, app: RungApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                await self.pilot.pause(0.01)

    @property
    def screen(self) -> CompareScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, CompareScreen))

    @property
    def panes(self) -> list[AnswerPane]:
        return list(self.screen.query(AnswerPane))

    def line(self, name: str) -> str:
        """A panel's text; "" before the screen is there."""
        screens = [screen for screen in self.app.screen_stack if isinstance(screen, CompareScreen)]
        panels = [panel for screen in screens for panel in screen.query(f"#{name}")]
        return "".join(panel.text if isinstance(panel, TextPanel) else str(panel.render()) for panel in panels)

    async def ready(self) -> None:
        await self.until(lambda: "plain base" in self.line("proof"))
        await self.until(lambda: isinstance(self.screen.focused, PromptInput))

    async def ask(self, text: str | None = None) -> None:
        """Send a prompt and wait for all answers."""
        prompt = self.screen.query_one(PromptInput)
        if text is not None:
            prompt.put(text)
        prompt.focus()
        await self.pilot.press("enter")
        await self.until(lambda: all(pane.stop_reason for pane in self.panes))
        await self.pilot.pause()

    def spans_text(self, pane: AnswerPane) -> str:
        return str(pane.query_one(Static).content)

    def spans(self, pane: AnswerPane) -> Sequence[Span]:
        content = pane.query_one(Static).content
        assert isinstance(content, Content)
        return content.spans

    def shown(self) -> str:
        return "\n".join(
            "".join(segment.text for segment in strip) for strip in self.app.screen._compositor.render_strips()
        )


def compare(root: Path, size: tuple[int, int] = (120, 40)) -> Any:
    app = RungApp(root, start="compare")
    return app, app.run_test(size=size)


async def test_without_a_run_it_says_what_to_do(tmp_path: Path) -> None:
    app, running = compare(tmp_path)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: "no run of this project has a checkpoint" in driver.line("nothing"))
        assert driver.screen.query_one(PromptInput).disabled


@pytest.mark.parametrize("size", [(80, 24), (120, 30), (160, 48)])
async def test_answers_stand_side_by_side_as_they_were_written(project: Path, size: tuple[int, int]) -> None:
    app, running = compare(project, size)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        assert "fingerprint 7c1e03aa = plain base ✔ bit by bit" in driver.line("proof")
        assert "greedy · 128 tokens · seed 0   blind off" in driver.line("proof").split("\n")[-1]
        assert max(map(len, driver.line("proof").split("\n"))) < driver.screen.query_one("#proof").size.width
        assert driver.screen.query_one(PromptInput).text == "What is the total?"
        await driver.ask()
        # Neither markup nor a terminal's control codes are obeyed.
        assert [pane.shown_text for pane in driver.panes] == [
            "The total is 412.50 [bold]euros[/bold] now",
            "The total is 999 [bold]euros[/bold] now",
        ]
        assert "[bold]euros" in driver.shown() and "\x1b" not in driver.shown()
        left, right = driver.panes
        assert left.region.y == right.region.y and left.region.right <= right.region.x
        assert right.border_subtitle == "9 tokens · 30 tok/s"
        assert driver.line("wanted") == "wanted  412.50"
        spans = driver.spans(right)
        assert [right.shown_text[span.start : span.end] for span in spans] == ["999"]
        assert all("underline" in str(span.style) for span in spans)
        await pilot.press("m")
        assert not driver.spans(right)


async def test_without_colour_the_differences_still_show(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, running = compare(project, (80, 24))
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await driver.ask()
        strips = app.screen._compositor.render_strips()
        underlined = [part.text for strip in strips for part in strip if part.style and part.style.underline]
        assert underlined == ["412.50", "999"]
        app.add_class("-ascii")
        await pilot.press("m", "m")
        assert "[999]" in driver.spans_text(driver.panes[1])


async def test_a_preference_is_a_pair_ready_for_dpo(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await driver.ask()
        await pilot.press(">")
        await driver.until(lambda: "sft-aaaa 1 · base 0" in driver.line("tally"))
        assert "win rate 1.00 [.21, 1.00]" in driver.line("tally")
        await pilot.press("<", "=")  # Judged once is judged.
        await driver.ask("And the tax?")
        await pilot.press("equals_sign")
        await driver.until(lambda: "same 1" in driver.line("tally"))
    (row,) = read_json_lines(project / "preferences.jsonl")
    assert row["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the total?"},
    ]
    assert row["chosen"] == [{"role": "assistant", "content": "The total is 999 [bold]euros[/bold] \x1b[31mnow"}]
    assert row["rejected"][0]["content"].startswith("The total is 412.50")
    assert row["candidates"] == {"chosen": "20260101-000000-sft-aaaa", "rejected": "base"}
    assert row["blind"] is False
    (tie,) = read_json_lines(project / "preferences-ties.jsonl")
    assert tie["prompt"][-1]["content"] == "And the tax?"


async def test_equal_answers_make_no_pair(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await driver.ask("equal")
        await pilot.press("<")
        await driver.until(lambda: any("The answers are equal" in note.message for note in app._notifications))
    assert not (project / "preferences.jsonl").exists()


async def test_blind_hides_names_and_speeds_until_the_choice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.shuffle", lambda order: order.reverse())
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await pilot.press("escape", "b")
        assert driver.line("proof").endswith("blind on")
        await driver.ask()
        assert [str(pane.border_title) for pane in driver.panes] == ["1 ?", "2 ?"]
        assert [str(pane.border_subtitle) for pane in driver.panes] == ["9 tokens", "9 tokens"]
        assert "sft-aaaa" not in "".join(str(pane.border_title) for pane in driver.panes)
        await pilot.press("<")
        assert [str(pane.border_title) for pane in driver.panes] == ["1 sft-aaaa", "2 base"]
        await driver.until(lambda: "sft-aaaa 1 · base 0" in driver.line("tally"))
    (row,) = read_json_lines(project / "preferences.jsonl")
    assert row["blind"] is True and row["candidates"]["chosen"] == "20260101-000000-sft-aaaa"


async def test_an_answer_becomes_a_training_row(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await driver.ask("Who signs?")
        await pilot.press("right", "w")
        added = project / "data" / "train-additions.jsonl"
        await driver.until(added.exists)
    (row,) = read_json_lines(added)
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][-1]["content"].startswith("The total is 999")


async def test_cancel_stops_and_keeps_what_came(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        driver.screen.query_one(PromptInput).put("slow")
        await pilot.press("enter")
        await driver.until(lambda: driver.panes[0].answer == "The total")
        await pilot.press("x")
        await driver.until(lambda: all(pane.stop_reason == "cancelled" for pane in driver.panes))
        assert driver.panes[0].answer == "The total"
        assert "(cancelled)" in str(driver.panes[0].border_subtitle)


async def test_a_base_that_is_not_the_base_is_an_error_on_screen(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await driver.ask("mismatch")
        await driver.until(lambda: isinstance(app.screen, ErrorPanel))
        assert "base deadbeef is NOT the plain base 7c1e03aa ✖ logits differ by 0.5" in driver.line("proof")


async def test_a_dead_worker_is_said_and_started_again_by_the_next_prompt(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        driver.screen.query_one(PromptInput).put("die")
        await pilot.press("enter")
        await driver.until(lambda: isinstance(app.screen, ErrorPanel))
        assert "the last words" in driver.shown()
        assert driver.line("proof").startswith("the worker ended")
        await pilot.press("escape")
        await driver.ask("again")
        assert driver.panes[1].answer.startswith("The total is 999")


async def test_another_run_on_the_same_base_can_be_added(project: Path, fake_python: Path) -> None:
    make_run(project, "20250101-000000-dpo-bbbb", fake_python)
    make_run(project, "20250101-000001-sft-cccc", fake_python, model="another")
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await pilot.press("escape", "plus")
        await driver.until(lambda: bool(app.screen.query(OptionList)))
        assert app.screen.query_one(OptionList).option_count == 1
        await pilot.press("enter")
        await driver.until(lambda: len(driver.panes) == 3)
        await driver.ready()
        await driver.ask()
        assert [str(pane.border_title) for pane in driver.panes] == ["1 base", "2 sft-aaaa", "3 dpo-bbbb"]
        await pilot.press("3")
        await driver.until(lambda: driver.line("tally").count("preferred so far") == 2)
        await driver.until(lambda: (project / "preferences.jsonl").exists())
    pairs = [row["candidates"] for row in read_json_lines(project / "preferences.jsonl")]
    assert [pair["rejected"] for pair in pairs] == ["base", "20260101-000000-sft-aaaa"]
    assert {pair["chosen"] for pair in pairs} == {"20250101-000000-dpo-bbbb"}


async def test_prompts_come_from_rows_history_and_several_lines(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        prompt = driver.screen.query_one(PromptInput)
        assert prompt.border_subtitle == "validation row 1, 1 of 2"
        await pilot.press("tab")
        assert (prompt.text, prompt.border_subtitle) == ("Who pays?", "validation row 2, 2 of 2")
        await pilot.press("ctrl+j", "n", "o", "w")
        assert prompt.text == "Who pays?\nnow"
        await driver.ask()
        assert driver.line("wanted") == ""  # What was changed has no known answer.
        await pilot.press("enter")
        prompt.put("")
        await pilot.press("up")
        assert prompt.text == "Who pays?\nnow"


async def test_decoding_is_set_for_all_and_checked(project: Path) -> None:
    app, running = compare(project)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        await pilot.press("escape", "t")
        await driver.until(lambda: isinstance(app.screen, DecodingDialog))
        dialog = app.screen
        dialog.query_one("#temperature", Input).value = "0.7"
        dialog.query_one("#top_p", Input).value = "2"
        await pilot.press("enter")
        assert "top p above 0" in str(dialog.query_one("#fault", Static).content)
        dialog.query_one("#top_p", Input).value = "0.9"
        await pilot.press("enter")
        await driver.until(lambda: app.screen is driver.screen)
        assert "temperature 0.7 · top p 0.9" in driver.line("proof")


async def test_the_real_worker_proves_the_base_and_answers(tmp_path: Path) -> None:
    root = tmp_path / "real"
    run = make_run(root, "20260101-000000-sft-aaaa")
    make_tiny_model(root / "model")
    make_adapter(root / "model", run.path / "adapter", seed=1)
    app, running = compare(root)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: driver.screen._bench.ready is not None or isinstance(app.screen, ErrorPanel))
        assert "= plain base ✔ bit by bit" in driver.line("proof")
        driver.screen._ask = type(driver.screen._ask)(decoding=type(driver.screen._ask.decoding)(max_new_tokens=8))
        await driver.ask()
        assert [pane.tokens for pane in driver.panes] == [8, 8]
        assert driver.panes[0].answer != driver.panes[1].answer
        process = driver.screen._bench._client._process  # type: ignore[union-attr]
        assert process is not None
    assert process.wait(PATIENCE_SECONDS) == 0


async def test_the_download_of_the_base_is_told(tmp_path: Path, fake_python: Path) -> None:
    root = tmp_path / "invoices"
    make_run(root, "20260101-000000-sft-aaaa", fake_python, model="hub/large")
    app, running = compare(root)
    async with running as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: "1.0 GiB of 4.0 GiB" in driver.line("proof"))
        assert "downloading hub/large" in driver.line("proof")
