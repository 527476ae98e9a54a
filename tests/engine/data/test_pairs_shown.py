"""Pairs of AI feedback as a person sees them before training: in the fold, on the command line, on the Run screen."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rung.engine.core.files import read_json_lines
from rung.engine.jobs.events import Event, PairsMade, Phase, Queued, Resumed, Started, Step, Stopped
from rung.engine.jobs.fold import RunState, apply
from rung.tui.run.curves import CurvesPanel, metric_names
from rung.tui.run.screen import RunScreen
from rung.tui.shell.app import RungApp
from rung.tui.watch.watched_run import WatchedRun
from tests.conftest import Ran
from tests.helpers.on_screen import WIDE, settled, shown, until
from tests.helpers.recorded import write_events, write_run

RUN = "20260102-030405-constitution-ab12"
RECIPE = "method: constitution\nmodel: {name: pocket}\n"
PAIR = {
    "prompt": "How far is it?",
    "first": "As you wish, dear reader, it is ten miles.",
    "principle": "The answer comes first.",
    "critique": "It begins with flattery.",
    "revised": "Ten miles.",
}
OTHER = {**PAIR, "prompt": "Who built it?", "first": "[b]Somebody[/b] did.", "revised": "The town did."}
REASON = "the pairs are made: read pairs.jsonl, take out the lines you don't want; then rung resume trains on the rest"
PAIRS_MADE: tuple[Event, ...] = (
    Queued("cpu"),
    Started("host", 42, ["cpu"], 1),
    Phase("generate", 0, 16, "prompts answered and revised"),
    PairsMade("revised", 8, 16, {"share_revised": 0.75}, OTHER),
    PairsMade("revised", 16, 16, {"share_revised": 0.5}, PAIR),
    PairsMade("judged", 8, 8, {"judge_agreement": 0.875, "judge_steadiness": 1.0}, {**PAIR, "judge": "a tie"}),
    Stopped(0, True, REASON),
)


def test_figures_are_curves_over_prompts_and_a_judged_pair_takes_the_place_of_the_unjudged(tmp_path: Path) -> None:
    state = RunState()
    for event in read_json_lines(write_events(tmp_path / "events.jsonl", PAIRS_MADE)):
        apply(state, event)
    assert list(state.curve("pairs/share_revised").steps) == [8.0, 16.0]
    assert list(state.curve("pairs/share_revised").values) == [0.75, 0.5]
    assert state.curve("pairs/judge_agreement").last == 0.875
    assert state.pairs == [OTHER, {**PAIR, "judge": "a tie"}]
    assert state.log[-1][1:] == ("stopped", REASON)


def test_they_outlive_a_resume_from_a_checkpoint(tmp_path: Path) -> None:
    later = (Step(1, 0.1, 0.7), Step(2, 0.2, 0.6), Resumed(1))
    state = RunState()
    for event in read_json_lines(write_events(tmp_path / "events.jsonl", (*PAIRS_MADE, *later))):
        apply(state, event)
    assert list(state.curve("loss").steps) == [1.0]
    assert list(state.curve("pairs/share_revised").steps) == [8.0, 16.0]


def test_the_methods_own_figures_are_offered_in_their_order(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, (*PAIRS_MADE, Step(1, 0.1, 0.7, metrics={"rewards/margins": 0.0, "aaa": 1.0})))
    run = WatchedRun(RUN, folder, {"method": "constitution"})
    run.fold(read_json_lines(folder.events))
    assert metric_names(run) == [
        "loss", "learning_rate", "grad_norm", "tokens_per_second", "pairs/share_revised", "pairs/judge_agreement",
        "pairs/judge_steadiness", "rewards/margins", "aaa", "seconds",
    ]  # fmt: skip


def test_watch_prints_them_and_a_stop_that_the_recipe_wants_is_no_failure(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rung.yaml").write_text("")
    folder = write_run(tmp_path, RUN, PAIRS_MADE, RECIPE)
    ran = cli("watch", RUN)
    assert ran.code == 0
    lines = ran.out.splitlines()
    said = "  ".join(f"{name} “{PAIR[name]}”" for name in ("prompt", "first", "critique", "revised"))
    assert f"pairs            revised 16/16  share_revised 0.5  {said}" in lines
    assert lines[-1] == f"stopped          {REASON}"
    write_events(folder.events, (*PAIRS_MADE[:-1], replace(Stopped(0, True))))
    assert cli("watch", RUN).code == 1


def test_they_do_not_break_a_reader_when_damaged(tmp_path: Path) -> None:
    state = RunState()
    for value in ({"done": "x"}, {"stage": "revised", "done": 1, "total": 2, "metrics": [], "example": 3}):
        apply(state, {"v": 1, "seq": 0, "time": 0.0, "type": "pairs", **value})
    assert [kind for _, kind, _ in state.log] == ["unreadable event"] * 2
    assert json.dumps(state.pairs) == "[]"


async def test_the_run_screen_shows_figures_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "rung.yaml").write_text("")
    write_run(tmp_path, RUN, PAIRS_MADE, RECIPE)
    app = RungApp(tmp_path, run=RUN)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, settled(app))
        await until(pilot, lambda: "■ stopped" in shown(app))
        text = shown(app)
        assert "the pairs are made: read pairs.jsonl" in text and "R resumes" in text
        assert "pairs/share_revised" in text, "there is no loss yet"
        assert "Pair 1/2, newest first  How far is it?" in text
        for row in ("first     As you wish", "critique  It begins", "revised   Ten miles.", "judge     a tie"):
            assert row in text
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "[b]Somebody[/b] did." in shown(app))
        await pilot.press("slash", *"judge_agr", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.screen.query_one(CurvesPanel).metrics == ("pairs/judge_agreement",)
        assert "pairs/judge_agreement" in shown(app)
