"""A climb before its end: what is measured, which rung is on, how far and how long still, and no verdict."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.files import read_json
from rung.engine.jobs.events import Event, Phase
from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.ladder_events import RungProgress
from rung.engine.ladder import climb as climbing
from rung.engine.ladder.board import write_board
from rung.engine.ladder.climb_state import ClimbState, read_climb
from rung.engine.ladder.launch import climb_folder
from rung.engine.ladder.project_facts import gather_facts
from rung.engine.ladder.rung_meter import RungMeter
from rung.engine.project.load import load_project
from rung.tui.commands.event_lines import status_line
from rung.tui.shell.app import RungApp
from rung.tui.text.climbs import climb_headline, progress_words, rung_lines
from rung.tui.text.glyphs import ASCII
from tests.helpers.ladder_project import climb, make_model, make_project, of_type
from tests.helpers.on_screen import NARROW, WIDE, held_lock, shown, until


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


# How far a rung is


def test_the_time_left_is_that_of_the_answers_still_to_come() -> None:
    now, told = [100.0], list[Event]()
    meter = RungMeter(told.append, lambda: now[0])

    def latest() -> tuple[int, int | None, float | None]:
        event = told[-1]
        assert isinstance(event, RungProgress)
        return event.done, event.total, event.seconds_left

    def later() -> dict[str, float]:
        event = told[-1]
        assert isinstance(event, RungProgress)
        return event.seconds_later

    meter.begin("prompt", ["prompt", "rag"], {"rag": 40})
    assert latest() == (0, None, None) and later() == {}, "no answer has been timed"
    meter.expect(30)
    with meter.evaluation(10):
        now[0] += 5
        meter.take(Phase("evaluate", 5, 10, "answers"))
        assert latest() == (5, 30, 25.0) and later() == {"rag": 40.0}
        now[0] += 0.5
        meter.take(Phase("evaluate", 6, 10, "answers"))
        assert latest() == (5, 30, 25.0), "not more often than once a second"
        now[0] += 4.5
    assert latest() == (10, 30, 20.0)
    with meter.evaluation(10):
        pass  # Found on disk: no time, and no faster from then on.
    assert latest() == (20, 30, 10.0)
    meter.begin("rag", ["prompt", "rag"], {})
    meter.expect(4)
    meter.train(3, 9, 60.0)
    assert latest() == (0, None, None), "told a moment ago"
    now[0] += 2
    meter.train(4, 9, 60.0)
    assert latest() == (4, 9, 64.0), "the training, and the answers after it"
    meter.end()
    meter.train(5, 9, 60.0)
    assert len(told) == 6


def test_each_rung_says_how_far_it_is_and_ends_where_it_said(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model, prompt_trials={"k": [0, 2], "system_prompts": ["Answer.", "Be brief."]})
    events: list[Event] = []
    climb(tmp_path, events=events)
    told = of_type(events, "rung_progress")
    assert list(dict.fromkeys(event.rung for event in told)) == ["prompt", "rag"]
    assert all(event.rungs == ["prompt", "rag"] for event in told)
    for rung in ("prompt", "rag"):
        mine = [event for event in told if event.rung == rung]
        assert [event.done for event in mine] == sorted(event.done for event in mine)
        assert all(event.done <= event.total for event in mine if event.total is not None)
        assert mine[-1].done == mine[-1].total and mine[-1].done >= 8 + 6
        assert mine[-1].seconds_left == 0
    assert not any(event.seconds_later for event in told if event.rung == "rag"), "nothing comes after it"
    before = [event.seconds_later["rag"] for event in told if event.rung == "prompt" and event.seconds_later]
    assert before and min(before) > 0


def test_no_verdict_and_no_advice_before_the_end(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, model)
    written: list[dict[str, Any]] = []
    advised: list[list[Any]] = []

    def keep(root: Path, board: dict[str, Any]) -> None:
        write_board(root, board)
        written.append(json.loads(json.dumps(board)))
        advised.append(gather_facts(root, load_project(root)).advice)

    monkeypatch.setattr(climbing, "write_board", keep)
    climb(tmp_path)
    assert [len(board["scoreboard"]) for board in written[:3]] == [0, 1, 2]
    decided = [board["verdict"] is not None for board in written]
    assert decided == sorted(decided) and not any(decided[:3]) and decided[-1]
    assert not any(advised[:3]) and advised[-1]
    # The next climb takes the old verdict away before it measures anything.
    monkeypatch.setattr(climbing.Climb, "_measure", _broken_off)
    with pytest.raises(KeyboardInterrupt):
        climb(tmp_path, rungs=("prompt",))
    board = read_json(tmp_path / "scoreboard.json")
    assert board["verdict"] is None and len(board["scoreboard"]) == 2, "what is measured stays"


def _broken_off(*_: object) -> None:
    raise KeyboardInterrupt


# In words


def events_of_a_climb(rung: str = "rag") -> list[dict[str, Any]]:
    rungs = ["prompt", "rag", "tune"]
    progress = {"type": "rung_progress", "rungs": rungs, "unit": "answers"}
    return [
        {"type": "queued", "slot_wanted": "cpu"},
        {"type": "started", "host": "host", "pid": 1, "devices": ["cpu"], "world_size": 1},
        progress | {"rung": "prompt", "done": 120, "total": 120, "seconds_left": 0.0},
        progress | {"rung": rung, "done": 30, "total": 120, "seconds_left": 80.0, "seconds_later": {"tune": 40.0}},
    ]


def write_climb(root: Path, events: list[dict[str, Any]]) -> Path:
    folder = climb_folder(root)
    folder.requests.mkdir(parents=True)
    lines = [{"v": 1, "seq": number, "time": 1_700_000_000.0 + number} | event for number, event in enumerate(events)]
    folder.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder.events


def test_the_rungs_in_words() -> None:
    state = ClimbState("running")
    for event in events_of_a_climb():
        state.take(event)
    assert rung_lines(ClimbState("crashed", state.rungs), ASCII)[2] == "tune    not begun"
    assert rung_lines(state, ASCII) == [
        "prompt  measured",
        "RAG     ###.........  25%  30 of 120 answers  left 00:01:20",
        "tune    not begun  takes about 00:00:40 and the training",
    ]
    state.take({"type": "rung_failed", "rung": "rag", "message": "The index is gone"})
    state.take({"type": "skipped", "rung": "tune", "why": "the budget is spent"})
    assert rung_lines(state)[1:] == ["RAG     failed: The index is gone", "tune    skipped: the budget is spent"]
    state.take({"type": "decided", "rung": "prompt", "candidate": None, "reasons": []})
    assert state.decided
    state.take({"type": "queued", "slot_wanted": "cpu"})
    assert not state.decided and not state.rungs


@pytest.mark.parametrize(
    ("event", "status", "said"),
    [
        ({}, "crashed", "The climb was killed before its end. What is measured stays; rung climb goes on from here."),
        ({"type": "failed", "message": "No room."}, "failed", "The climb failed before its end: No room. What"),
        ({"type": "stopped"}, "stopped", "The climb was stopped before its end. What is measured stays;"),
        ({}, "running", "The climb goes on. No verdict yet: it comes at the climb's end."),
        ({}, "queued", "The climb waits for its turn. No verdict yet"),
    ],
)
def test_how_a_climb_without_a_verdict_is_doing(event: dict[str, Any], status: str, said: str) -> None:
    state = ClimbState(status)
    state.take(event)
    assert climb_headline(state).startswith(said)


def test_damaged_progress_is_passed_over() -> None:
    state = ClimbState("running")
    for event in (
        {"type": "rung_progress", "rung": 7},
        {"type": "rung_progress", "rung": "rag", "done": "x", "rungs": 3},
    ):
        state.take(event)
    assert rung_lines(state, ASCII) == ["RAG     ............   0%  left –"]
    assert "tune" in progress_words({"rung": "tune"}, ASCII)


def test_the_live_line_of_the_command_says_how_far_the_rung_is() -> None:
    state = RunState()
    for number, event in enumerate([*events_of_a_climb(), {"type": "phase", "name": "evaluate", "done": 2, "total": 6,
                                                           "unit": "answers"}]):  # fmt: skip
        apply(state, {"v": 1, "seq": number, "time": 1.0} | event)
    assert status_line(state) == "RAG ▇▇▇░░░░░░░░░  25%  30 of 120 answers  left 00:01:20 · evaluate 2/6 answers"
    assert not [kind for _, kind, _ in state.log if kind == "rung_progress"], "it is not for the log"


# On the screen and on the command line


@pytest.fixture
def half_way(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose prompt rung is measured; its climb is in the RAG rung."""
    make_project(tmp_path, model)
    climb(tmp_path, rungs=("prompt",))
    board = read_json(tmp_path / "scoreboard.json")
    (tmp_path / "scoreboard.json").write_text(json.dumps(board | {"verdict": None}))
    write_climb(tmp_path, events_of_a_climb())
    return tmp_path


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
async def test_the_screen_shows_the_climb_as_it_goes_and_says_when_it_was_killed(
    half_way: Path, size: tuple[int, int]
) -> None:
    events = climb_folder(half_way).events
    app = RungApp(half_way, start="scoreboard")
    async with app.run_test(size=size) as pilot:
        with held_lock(climb_folder(half_way)):
            await until(pilot, lambda: "25%" in shown(app))
            assert "The climb goes on." in shown(app) and "left 00:01:20" in shown(app)
            assert "prompt  measured" in shown(app) and "not begun" in shown(app)
            assert "n=8" in shown(app), "what is measured"
            assert "Verdict" not in shown(app)
            later = json.loads(events.read_text().splitlines()[-1]) | {"seq": 9, "done": 60, "seconds_left": 50.0}
            with events.open("a") as log:
                log.write(json.dumps(later) + "\n")
            await until(pilot, lambda: "50%" in shown(app) and "left 00:00:50" in shown(app))
        await until(pilot, lambda: "The climb was killed before its end." in shown(app))
        text = " ".join(shown(app).split())
        assert "rung climb goes on from here" in text and "broken off, 60 of 120 answers" in text
        assert "n=8" in shown(app) and "Verdict" not in shown(app)


def test_the_command_shows_what_is_measured_and_no_verdict(
    half_way: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(half_way)
    with held_lock(climb_folder(half_way)):
        ran = cli("scoreboard")
        assert ran.code == 0 and ran.out.startswith("The climb goes on. No verdict yet: it comes at the climb's end.\n")
        assert "  RAG     ▇▇▇░░░░░░░░░  25%  30 of 120 answers  left 00:01:20\n" in ran.out
        assert "  tune    not begun  takes about 00:00:40 and the training\n" in ran.out
        assert "contains on 8 held-out examples" in ran.out and "verdict:" not in ran.out
    killed = cli("scoreboard")
    assert killed.out.startswith("The climb was killed before its end. What is measured stays; rung climb goes on")
    assert json.loads(cli("scoreboard", "--json").out)["verdict"] is None


def test_a_new_climb_hides_the_verdict_of_the_one_before(
    half_way: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the seconds before it has written its first scoreboard."""
    monkeypatch.chdir(half_way)
    board = read_json(half_way / "scoreboard.json")
    told: dict[str, Any] = {"rung": "prompt", "candidate": None, "reasons": [], "headline": "Stop at the prompt"}
    (half_way / "scoreboard.json").write_text(json.dumps(board | {"verdict": told}))
    with held_lock(climb_folder(half_way)):
        assert "Stop at the prompt" not in cli("scoreboard").out
    assert "Stop at the prompt" in cli("scoreboard").out


def test_there_never_was_a_climb(tmp_path: Path) -> None:
    assert read_climb(tmp_path) is None


def test_a_climb_is_watched_as_a_run_is(
    half_way: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(half_way)
    ran = cli("watch", "climb")
    assert "rung_progress    RAG ▇▇▇░░░░░░░░░  25%  30 of 120 answers  left 00:01:20\n" in ran.out
    assert "crashed" in ran.out and ran.code == 1
    monkeypatch.chdir(half_way.parent)
    none = cli("watch", "climb")
    assert none.code == 2 and "This project has no climb yet" in none.err
