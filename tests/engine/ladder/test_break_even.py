"""When a training is paid back, in time and price: only by a model shown no worse than what it replaces."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.events import Finished, Phase, Started
from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.bench import Trial
from rung.engine.ladder.board import build_board
from rung.engine.ladder.break_even import break_even_fields, break_even_lines, won_back
from rung.engine.ladder.climb_record import ClimbRecord
from rung.engine.ladder.entries import write_entry
from rung.engine.ladder.examples import load_split
from rung.engine.ladder.report import climb_report
from rung.engine.ladder.scoring import score_answers
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.ladder.training_cost import training_cost
from rung.engine.ladder.tune_rung import last_gain
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.spec import MetricSpec
from rung.engine.project.schema import ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.stats.intervals import estimate
from rung.tui.scoreboard.lines import verdict_lines
from tests.helpers.ladder_project import make_project
from tests.helpers.recorded import write_run

RUN = "20260101-000000-sft-aaaa"
NONE = {"break_even": None, "break_even_cost": None, "break_even_against": None, "break_even_endpoint": None}


def row(candidate: str, rung: str, score: float, seconds: float, **further: Any) -> dict[str, Any]:
    known = {"candidate": candidate, "rung": rung, "label": candidate, "score": score, "seconds": seconds}
    return known | {"chosen": True, "endpoint": None, "run": None, "cost": None} | further


def tuned(score: float, seconds: float, **further: Any) -> dict[str, Any]:
    return row("new", "tune", score, seconds, **({"run": RUN, "training_seconds": 1_000.0} | further))


def pair(a: str, b: str, low: float, high: float) -> dict[str, Any]:
    return {"a": a, "b": b, "difference": (low + high) / 2, "low": low, "high": high}


def test_a_tuned_model_that_is_worse_never_pays_off() -> None:
    # .10 against .95 was said to pay off after 2,000 answers.
    rows = [row("old", "prompt", 0.95, 1.0), tuned(0.10, 0.5)]
    assert break_even_fields(rows[1], rows, [pair("old", "new", 0.8, 0.9)], 0.02, True) == NONE


def test_one_that_is_not_shown_to_be_no_worse_does_not_either() -> None:
    rows = [row("old", "prompt", 0.80, 1.0), tuned(0.81, 0.5)]
    assert break_even_fields(rows[1], rows, [pair("old", "new", -0.06, 0.04)], 0.02, True) == NONE
    assert break_even_fields(rows[1], rows, [pair("old", "new", -0.06, 0.04)], 0.05, True)["break_even"] == 2_000
    assert break_even_fields(rows[1], rows, [], 0.02, True) == NONE
    # Too few groups to claim what the interval says.
    few = pair("old", "new", -0.06, 0.01) | {"claim_low": -0.2, "claim_high": 0.1}
    assert break_even_fields(rows[1], rows, [pair("old", "new", -0.06, 0.01)], 0.02, True)["break_even"] == 2_000
    assert break_even_fields(rows[1], rows, [few], 0.02, True) == NONE


@pytest.mark.parametrize(("more_is_better", "against", "answers"), [(True, "high", 1_000), (False, "low", 2_000)])
def test_what_is_replaced_is_the_best_lower_rung_in_the_metrics_direction(
    more_is_better: bool, against: str, answers: int
) -> None:
    rows = [row("low", "prompt", 3.0, 1.0), row("high", "rag", 9.0, 1.5), tuned(5.0, 0.5)]
    pairs = [pair("low", "new", -0.3, -0.1), pair("new", "high", 0.1, 0.3)]
    found = break_even_fields(rows[2], rows, pairs, 0.02, more_is_better)
    assert (found["break_even_against"], found["break_even"]) == (against, answers)


def test_a_lucky_candidate_that_was_not_chosen_is_not_what_is_replaced() -> None:
    rows = [row("lucky", "prompt", 0.9, 9.0, chosen=False), row("old", "prompt", 0.8, 1.0), tuned(0.9, 0.5)]
    pairs = [pair("lucky", "new", -0.01, 0.01), pair("old", "new", -0.2, -0.05)]
    assert break_even_fields(rows[2], rows, pairs, 0.02, True)["break_even_against"] == "old"


def test_a_candidate_that_was_trained_on_held_out_rows_is_out_of_it() -> None:
    rows = [row("old", "prompt", 0.8, 1.0), tuned(0.9, 0.5, leaked="learned from held-out rows")]
    assert break_even_fields(rows[1], rows, [pair("old", "new", -0.2, -0.05)], 0.02, True) == NONE


def test_price_stands_beside_time_and_against_an_endpoint_alone() -> None:
    big = row("big", "prompt", 0.95, 9.0, endpoint="big", chosen=False, cost=0.01)
    rows = [row("old", "prompt", 0.8, 1.0, cost=0.002), big, tuned(0.95, 0.5, cost=0.001, training_cost=2.0)]
    pairs = [pair("old", "new", -0.2, -0.1), pair("big", "new", -0.01, 0.01)]
    found = break_even_fields(rows[2], rows, pairs, 0.02, True)
    assert (found["break_even"], found["break_even_cost"], found["break_even_against"]) == (2_000, 2_000, "old")
    assert found["break_even_endpoint"] == {"against": "big", "cost": 223}
    told = break_even_lines({"scoreboard": [*rows[:2], rows[2] | found], "pairs": pairs, "margin": 0.02})
    assert told == [
        "tune (new) is shown to be better than prompt (old): the training's time is won back after 2,000 answers, "
        "its price after 2,000",
        "tune (new) is shown to be at most 0.02 worse than prompt (big): the training's price is won back after 223 "
        "answers",
    ]


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"break_even": 40}, "time is won back after 40 answers; its price is not known (budget.machine_hour)"),
        ({}, "its answers are no faster, so the training's time is not won back"),
        ({"training_seconds": None}, "how long it was trained is not known"),
        ({"cost": 0.1, "training_cost": 2.0}, "its answers are no cheaper, so its price is not won back"),
    ],
)
def test_what_is_not_known_or_not_won_back_is_said(further: dict[str, Any], said: str) -> None:
    rows = [row("old", "prompt", 0.8, 1.0), tuned(0.9, 2.0, **({"break_even_against": "old"} | further))]
    (line,) = break_even_lines({"scoreboard": rows, "margin": 0.02})
    assert said in line


def test_a_scoreboard_of_an_older_version_has_its_figure_left_out() -> None:
    assert break_even_lines({"scoreboard": [row("old", "prompt", 0.95, 1.0), tuned(0.1, 0.5, break_even=2_000)]}) == []


@pytest.mark.parametrize(("before", "after", "answers"), [(1.0, 0.5, 200), (0.5, 0.5, None), (0.4, 0.5, None)])
def test_won_back(before: float, after: float, answers: int | None) -> None:
    assert won_back(100.0, before, after) == answers


def test_the_time_of_the_runs_behind_a_run_is_part_of_its_cost(tmp_path: Path) -> None:
    first, second = "20260101-000000-sft-aaaa", "20260101-010000-dpo-bbbb"
    data = "model: {name: pocket}\ndata: {train: data/train.jsonl}\n"
    # A recorded run has an event a second.
    steps = [Phase("train", step, 4, "steps") for step in range(1, 4)]
    begun, done = Started("host", 1, ["cpu"], 1), Finished(4, {"loss": 1.0}, "adapter", "step 4")
    write_run(tmp_path, first, [begun, *steps, done], f"method: sft\n{data}")
    write_run(tmp_path, second, [begun, done], f"method: dpo\nstart_from: run:{first}\n{data}")
    load_recipe(tmp_path / "runs" / second / "recipe.yaml")
    assert training_cost(tmp_path, first).seconds == 4.0
    assert training_cost(tmp_path, second).seconds == 5.0
    shutil.rmtree(tmp_path / "runs" / first)
    assert training_cost(tmp_path, second).seconds is None


# On a project's own files.


def put(root: Path, project: ProjectSettings, name: str, spec: CandidateSpec, num_right: int, seconds: float) -> None:
    examples = load_split(root, project, "test").examples
    store = AnswerStore(root, name)
    store.add(
        [
            Answer(one.id, "p", one.reference if number < num_right else "violet", 100, 4, seconds, "end")
            for number, one in enumerate(examples)
        ]
    )
    kept = AnswerStore(root, name).answers
    for metric in parse_metrics(project.metrics, root):
        score_answers(root, project, name, spec, metric, examples, kept, lambda *_: [])
    write_entry(root, name, spec, spec.label, chosen=True)


@pytest.mark.parametrize("right", [4, 40])
def test_scoreboard_report_and_screen_say_it_only_for_a_good_model(tmp_path: Path, right: int) -> None:
    project = make_project(tmp_path, Path("pocket"), counts=(10, 5, 40), budget={"machine_hour": 7.2})
    write_run(tmp_path, RUN, [Started("host", 1, ["cpu"], 1), Finished(4, {"loss": 1.0}, "adapter", "step 4")], "")
    base = base_spec(project)
    put(tmp_path, project, "aaa", base, 30, seconds=1.0)
    put(tmp_path, project, "bbb", base.model_copy(update={"run": RUN}), right, seconds=0.5)
    board = build_board(
        tmp_path, project, parse_metrics(project.metrics, tmp_path), load_split(tmp_path, project, "test").examples
    )
    new = board["scoreboard"][1]
    trained = new["training_seconds"]
    assert new["training_cost"] == pytest.approx(trained * 7.2 / 3600) and board["scoreboard"][0]["seconds"] == 1.0
    report = climb_report(project, board, ClimbRecord(tmp_path / "r.json", "k"), [])
    shown = verdict_lines(board).plain
    if right == 4:
        assert {name: new[name] for name in NONE} == NONE
        assert "won back" not in report and "won back" not in shown
        return
    answers = won_back(trained, 1.0, 0.5)
    assert (new["break_even"], new["break_even_cost"], new["break_even_against"]) == (answers, answers, "aaa")
    assert f"is shown to be better than prompt ({base.label}): the training's time" in report
    assert "is shown to be better than prompt" in shown


# The evidence behind the advice.


def trial(scores: list[float]) -> Trial:
    kept = [ExampleScore(f"r{number}", "m", score) for number, score in enumerate(scores)]
    return Trial(CandidateSpec.model_construct(), "c", estimate(scores), kept, {})


@pytest.mark.parametrize("more_is_better", [True, False])
def test_the_last_step_of_a_learning_curve_has_an_interval_over_the_same_rows(more_is_better: bool) -> None:
    metric = MetricSpec(name="function", range=(0.0, 1.0), higher_is_better=more_is_better, function="a.py:f")
    few, half, full = trial([0.0] * 30), trial([1.0] * 10 + [0.0] * 20), trial([1.0] * 22 + [0.0] * 8)
    found = last_gain(metric, [(10, few), (20, half), (40, full)])
    assert found is not None and (found.fewer, found.more, found.n) == (20, 40, 30)
    assert found.difference == pytest.approx(0.4 if metric.more_is_better else -0.4)
    assert found.low < found.difference < found.high and (found.low > 0) == metric.more_is_better
    assert last_gain(metric, [(40, full)]) is None
