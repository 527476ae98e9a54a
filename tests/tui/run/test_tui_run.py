"""The Run screen on recorded logs, at both sizes: what it shows in each state, and what its keys do."""

import json
from pathlib import Path

import pytest
from textual.widgets import Button

from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked
from rung.tui.chart import Chart
from rung.tui.run.curves import CurvesPanel
from rung.tui.run.log import LogPanel
from rung.tui.run.screen import RunScreen
from rung.tui.settings.stored import Settings, save_settings
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ChoiceDialog, ConfirmDialog, ErrorPanel
from rung.tui.widgets.text_panel import TextPanel
from tests.helpers.on_screen import NARROW, REPLAYS, THREE_RUNS, WIDE, held_lock, project, settled, shown, until
from tests.helpers.recorded import write_events, write_run

LIVE = "20251123-093000-sft-3f2a"
FINISHED = "20251122-180500-dpo-77c0"
FAILED = "20251122-171000-sft-01be"


def recording(name: str) -> RungApp:
    return RungApp(Path("/nowhere"), replay=REPLAYS / f"{name}.jsonl")


async def test_wide_shows_everything_at_once() -> None:
    app = recording("sft-two-gpus")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "412 / 620" in shown(app))
        text = shown(app)
        for wanted in (
            "qwen3-0.6b  LoRA r16  sft",
            "● running recording 00:16:10",
            "left   00:08:00",
            "epoch  1.33",
            "18,728",
            "⠤◆⠤ evaluation 0.762",
            "GPU 0 H100 80GB HBM3  util 97 %  70 °C  630 W",
            "38.3 of 79.6 GiB  job's peak 38.3 GiB",
            "forecast 39.8 GiB ┊  measured 38.9 GiB",
            "perplexity  12.1 → 12.8  (+5.5%)  limit +10%",
            'step 400  {"invoice": "8812", "total": 412.50}',
            "✔ as wanted",
            "step 400 saved (schedule)",
        ):
            assert wanted in text
        assert "[1 Loss]" not in text


async def test_narrow_is_one_line_of_ladder_one_of_progress_and_tabs() -> None:
    app = recording("sft-two-gpus")
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "412/620" in shown(app))
        lines = shown(app).split("\n")
        assert lines[1].split() == ["Ladder", "Prompt", "–", "→", "RAG", "–", "→", "Tune", "–"]
        assert "66%  step 412/620  left 00:08:00  loss 0.67" in lines[2]
        assert lines[3].startswith("[1 Loss] 2 Memory")
        assert lines[-1].endswith("? help  q quit")
        for key, wanted in (
            ("2", "util 97 %"),
            ("3", "perplexity  12.1 → 12.8"),
            ("4", "The invoice total depends"),
            ("5", "step 400 saved (schedule)"),
        ):
            await pilot.press(key)
            await until(pilot, lambda wanted=wanted: wanted in shown(app))


async def test_a_recording_can_only_be_looked_at() -> None:
    app = recording("sft-two-gpus")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await pilot.press("s", "x", "k", "R", "c", "r")
        assert isinstance(app.screen, RunScreen)
        assert "s stop" not in shown(app)


async def test_a_finished_run_says_what_came_of_it_and_where_no_gpu_was() -> None:
    app = recording("dpo-cpu")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "✔ finished" in shown(app))
        text = shown(app)
        assert "evaluation/loss 0.247, rewards/margins 1.83 · kept: step-120, lowest validation loss" in text
        assert "No GPU: CPU and process memory" in text
        assert "CPU 188 %" in text
        assert "The recipe turns the probe off." in text
        assert "recovered      out of memory" in app.screen.query_one(LogPanel).query_one(TextPanel).text


async def test_the_methods_own_figures_can_be_drawn() -> None:
    app = recording("dpo-cpu")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        curves = app.screen.query_one(CurvesPanel)
        await pilot.press("slash")
        assert isinstance(app.screen, ChoiceDialog)
        await pilot.press(*"margins", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert curves.metrics == ("rewards/margins",)
        assert "rewards/margins" in shown(app)
        await pilot.press("plus")
        await pilot.press(*"chosen", "enter")
        await until(pilot, lambda: curves.metrics == ("rewards/margins", "rewards/chosen"))
        await pilot.press("m")
        assert len(curves.metrics) == 1


async def test_a_failed_run_says_why_and_what_to_do(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS), run=FAILED)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        await until(pilot, lambda: "✖ failed" in shown(app))
        text = shown(app)
        assert "The loss is not a number · step 41, rows 321 to 328 of data/train.jsonl" in text
        assert "lower training.learning_rate (it is 0.05)" in text
        assert "R resumes it" in text
        assert "R resume" in text.split("\n")[-1]
        assert "s stop" not in text


async def test_a_crashed_run_shows_the_end_of_its_log(tmp_path: Path) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    RunFolder(root / "runs" / LIVE).log.write_text(
        "loading \x1b[31m[bold]weights[/bold]\x1b[0m\n 10%|#\r 90%|###\nKilled\n"
    )
    app = RungApp(root, run=LIVE)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "Killed" in shown(app))
        text = shown(app)
        assert "✖ crashed" in text
        assert "loading [bold]weights[/bold]" in text
        assert " 90%|###" in text and "10%|" not in text


async def test_the_newest_event_of_a_live_run_is_not_hidden_by_what_libraries_print(tmp_path: Path) -> None:
    folder = RunFolder(project(tmp_path, {LIVE: "sft-two-gpus"}) / "runs" / LIVE)
    folder.log.write_text("a library's warning\n" * 100)
    with held_lock(RunFolder(folder.path.resolve())):
        app = RungApp(tmp_path, run=LIVE)
        async with app.run_test(size=WIDE) as pilot:
            await until(
                pilot, lambda: "a library's warning" in app.screen.query_one(LogPanel).query_one(TextPanel).text
            )
            await until(pilot, lambda: "step 400 saved" in shown(app))


async def test_text_of_models_and_files_is_never_markup_nor_control_codes(tmp_path: Path) -> None:
    nasty = "[red]no colour[/red] [@click=app.quit]click[/] [/] \x1b]0;title\x07\x1b[2J\x00\u202eback [link=x]"
    root = tmp_path / "nasty"
    folder = write_run(root, "20251123-100000-sft-aaaa", (), "method: sft\nname: '[b]x[/b]'\nmodel: {name: '[i]m'}\n")
    lines = [
        {"type": "started", "host": nasty, "pid": 1, "devices": [nasty], "world_size": 1},
        {"type": "phase", "name": nasty, "done": 1, "total": 2, "unit": nasty},
        {"type": "step", "step": 1, "epoch": 0.1, "loss": 1.0, "metrics": {nasty: 1.0}},
        {"type": "probe", "step": 1, "split": nasty, "metrics": {nasty: 2.0}},
        {"type": "memory", "devices": [{"uuid": nasty, "name": nasty, "used": 1, "total": 2}]},
        {"type": "forecast", "parts": {nasty: 3}, "bytes": 3},
        {"type": "sample", "step": 1, "prompt": nasty, "base": nasty, "current": nasty, "reference": nasty},
        {"type": nasty, "anything": nasty},
        {"type": "failed", "message": nasty, "details": nasty, "hint": nasty},
    ]
    events = ({"v": 1, "seq": number, "time": 1.0 + number} | line for number, line in enumerate(lines))
    folder.events.write_text("".join(json.dumps(event) + "\n" for event in events))
    folder.log.write_text(nasty)
    app = RungApp(root, run=folder.id)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "✖ failed" in shown(app))
        text = shown(app)
        assert "[red]no colour[/red]" in text
        assert not {"\x1b", "\x07", "\x00", "\u202e"} & set(text)
        for key in ("m", "m", "slash", "escape", "escape"):
            await pilot.press(key)
        await until(pilot, lambda: "[b]x[/b]" in shown(app))


async def test_keys_leave_requests_for_a_live_worker(tmp_path: Path) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    folder = RunFolder((root / "runs" / LIVE).resolve())
    with held_lock(folder):
        app = RungApp(root, run=LIVE)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, lambda: app.runs and app.runs[LIVE].live and app.runs[LIVE].alive)
            await until(pilot, lambda: "s stop  x cancel  k checkpoint" in shown(app))
            await pilot.press("k")
            await until(pilot, (folder.requests / "checkpoint").exists)
            await pilot.press("s")
            await until(pilot, (folder.requests / "stop").exists)
            await pilot.press("x")
            assert isinstance(app.screen, ConfirmDialog)
            assert isinstance(app.focused, Button) and app.focused.id == "no"
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, RunScreen))
            assert not (folder.requests / "cancel").exists()
            await pilot.press("x", "y")
            await until(pilot, (folder.requests / "cancel").exists)


async def test_a_worker_that_died_between_two_looks_is_an_error_panel_not_a_crash(tmp_path: Path) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    app = RungApp(root, run=LIVE)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: LIVE in app.runs and app.runs[LIVE].caught_up)
        app.runs[LIVE].alive = True
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ErrorPanel))
        assert f"{LIVE} is not going on" in shown(app)
        assert "rung resume goes on with a stopped run" in shown(app)
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)


async def test_a_live_run_is_folded_as_it_grows_and_after_a_resume(tmp_path: Path) -> None:
    root = project(tmp_path, {LIVE: "sft-two-gpus"})
    folder = RunFolder((root / "runs" / LIVE).resolve())
    with held_lock(folder):
        app = RungApp(root, run=LIVE)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, settled(app))
            with folder.events.open("a") as events:
                events.write('{"v":1,"seq":999,"time":1763891200,"type":"step","step":413,"epoch":1.3,"loss":0.5}\n')
                events.write('{"v":1,"seq":1000,"time":1763891201,"type":"step","st')
            await until(pilot, lambda: "413 / 620" in shown(app))
            assert app.runs[LIVE].state.sequence == 999
            with folder.events.open("a") as events:
                events.write('ep":414,"epoch":1.3,"loss":0.4}\n')
                events.write('{"v":1,"seq":1001,"time":1763891202,"type":"resumed","from_step":400}\n')
            await until(pilot, lambda: "400 / 620" in shown(app))
            assert app.runs[LIVE].generation == 1
            assert app.runs[LIVE].state.curves["loss"].steps[-1] == 400


async def test_an_earlier_run_is_laid_over_and_taken_away(tmp_path: Path) -> None:
    app = RungApp(project(tmp_path, THREE_RUNS), run=LIVE)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app, 3))
        await pilot.press("o", *"dpo", "enter")
        await until(pilot, lambda: "⠄⠄⠄ 1122-dpo-77c0" in shown(app))
        await pilot.press("o", *"dpo", "enter")
        await until(pilot, lambda: "⠄⠄⠄ 1122-dpo-77c0" not in shown(app))


async def test_the_chart_obeys_its_keys() -> None:
    app = recording("sft-two-gpus")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        chart = app.screen.query_one("#curves-chart", Chart)
        await until(pilot, lambda: "412 / 620" in shown(app) and chart.span()[1] > 412)
        assert app.focused is chart
        await pilot.press("left")
        assert chart.cursor == 412
        assert "step 412   " in shown(app)
        await pilot.press("left", "left")
        assert chart.cursor is not None and chart.cursor < 412
        await pilot.press("z", "z")
        left, right = chart.span()
        assert right - left < 120
        await pilot.press("shift+left")
        assert chart.span()[0] < left
        await pilot.press("y")
        assert "y log" in shown(app) and "zoomed" in shown(app)
        await pilot.press("0")
        assert chart.span()[0] == 0 and chart.cursor is None
        smoothing = app.screen.query_one(CurvesPanel).smoothing
        await pilot.press("e")
        assert app.screen.query_one(CurvesPanel).smoothing > smoothing


@pytest.mark.parametrize("mode", ["braille", "block", "ascii"])
async def test_each_mode_draws_with_its_own_characters(mode: str) -> None:
    save_settings(Settings(chart_mode=mode))
    app = recording("sft-two-gpus")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "412 / 620" in shown(app))
        chart = app.screen.query_one("#curves-chart", Chart)
        cells = {character for y in range(1, chart.size.height - 1) for character in chart.render_line(y).text[8:]}
        drawn = cells - set(" ◆")
        wanted = {
            "braille": lambda character: "⠀" <= character <= "⣿",
            "block": lambda character: character in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟█",
            "ascii": lambda character: character in ".*o",
        }[mode]
        assert drawn and all(wanted(character) for character in drawn)
        if mode == "ascii":
            assert "> running" in shown(app) and "●" not in shown(app)


async def test_a_run_without_a_step_says_what_it_waits_for(tmp_path: Path) -> None:
    from rung.engine.jobs.events import Phase, Queued, Started

    events = (Queued("gpu"), Started("host", 1, ["cpu"], 1), Phase("load", 3, 10, "files"))
    path = write_events(tmp_path / "waiting.jsonl", events)
    app = RungApp(tmp_path, replay=path)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "No loss yet: load 3/10 files." in shown(app))
        assert "load 3/10 files" in shown(app)
        await pilot.press("2")
        await until(pilot, lambda: "No reading yet" in shown(app))


async def test_a_damaged_line_is_shown_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl"
    good = (REPLAYS / "failed-cpu.jsonl").read_text().splitlines(keepends=True)
    torn = '{"v":1,"seq":10,"ti\n'
    senseless = '{"v":1,"seq":10,"time":1,"type":"step","step":"many","epoch":0,"loss":1}\n'
    path.write_text("".join([*good[:10], torn, senseless, *good[10:]]))
    app = RungApp(tmp_path, replay=path)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "✖ failed" in shown(app))
        log = app.screen.query_one(LogPanel).query_one(TextPanel).text
        assert "unreadable line" in log and "unreadable event" in log


async def test_started_stopped_and_resumed_by_keys(tmp_path: Path) -> None:
    from tests.helpers.fake_worker import fake_python

    root = project(tmp_path / "project", {})
    (root / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    recipe = "method: sft\nmodel: {name: pocket}\ndata: {train: rows.jsonl}\n"
    (root / "recipes" / "quick.yaml").write_text(f"{recipe}worker_python: {fake_python(tmp_path, steps=0)}\n")
    app = RungApp(root)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        run = app.screen.run_id
        await until(pilot, lambda: app.runs[run].state.step > 2)
        await pilot.press("s")
        await until(pilot, lambda: app.runs[run].status == "stopped")
        stopped_at = app.runs[run].state.step
        await until(pilot, lambda: "R resume" in shown(app))
        await pilot.press("R")
        await until(pilot, lambda: app.runs[run].state.step > stopped_at)
        await pilot.press("x", "y")
        await until(pilot, lambda: app.runs[run].status == "cancelled")
        folder = app.runs[run].folder
        assert folder is not None
        await until(pilot, lambda: not is_locked(folder.lock))
