"""What learning from judgments has brought, told from runs and the scoreboard."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.events import Finished, Started
from rung.engine.ladder.bench import Bench
from rung.engine.ladder.entries import write_entry
from rung.engine.ladder.gains import gains
from rung.engine.ladder.report import gain_lines
from rung.engine.ladder.spec import base_spec, declared_spec
from rung.engine.recipe.load import dump_recipe
from rung.engine.stats.intervals import wilson
from tests.helpers.ladder_project import make_model, make_project
from tests.helpers.method_runs import make_recipe
from tests.helpers.recorded import write_run

DPO, REWARD = "20260101-000000-dpo-aaaa", "20260102-000000-reward-bbbb"


@pytest.fixture
def bench(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    model = make_model(tmp_path_factory.getbasetemp() / "gains-model")
    project = make_project(tmp_path, model)
    for run, metrics in ((DPO, {"loss": 0.5}), (REWARD, {"accuracy": 0.9, "n": 40.0})):
        recipe = dump_recipe(make_recipe(run.split("-")[2], model))
        write_run(tmp_path, run, [Started("host", 1, ["cpu"], 1), Finished(4, metrics, "adapter", "step 4")], recipe)
    write_entry(tmp_path, "base", declared_spec(project), "zero-shot")
    write_entry(tmp_path, "policy", base_spec(project).model_copy(update={"run": DPO, "adapter": "a"}), "tuned by dpo")
    return Bench(tmp_path, project, lambda _event: None)


def board(a: str, b: str, a_better: int, b_better: int, difference: float) -> dict[str, Any]:
    pair = {
        "a": a, "b": b, "a_better": a_better, "b_better": b_better, "n": 50, "difference": difference,
        "low": difference - 0.1, "high": difference + 0.1, "p": 0.01,
    }  # fmt: skip
    return {"scoreboard": [{"candidate": "base", "run": None}, {"candidate": "policy", "run": DPO}], "pairs": [pair]}


@pytest.mark.parametrize(
    "seen", [board("base", "policy", 5, 30, -0.4), board("policy", "base", 30, 5, 0.4)], ids=["before", "after"]
)
def test_a_policy_s_wins_and_its_gain_are_told_from_either_side_of_the_pair(bench: Bench, seen: dict[str, Any]) -> None:
    (found,) = gains(bench, seen, [DPO])
    assert (found["wins"], found["losses"], found["ties"]) == (30, 5, 15)
    low, high = wilson(30, 35)
    assert found["win_rate"] == {"score": 30 / 35, "low": low, "high": high, "n": 35, "method": "wilson"}
    assert (found["gain"]["score"], found["gain"]["low"], found["gain"]["high"]) == pytest.approx((0.4, 0.3, 0.5))
    assert f"better than the model as it was in 0.857 [{low:.3f}, {high:.3f}] of 35" in gain_lines([found])[0]


def test_where_all_answers_score_alike_no_win_rate_is_made_up(bench: Bench) -> None:
    (found,) = gains(bench, board("base", "policy", 0, 0, 0.0), [DPO])
    assert found["win_rate"] is None and found["ties"] == 50
    (line,) = gain_lines([found])
    assert "gains +0.000" in line


def test_a_reward_model_s_accuracy_has_its_interval(bench: Bench) -> None:
    (found,) = gains(bench, board("base", "policy", 5, 30, -0.4), [REWARD])
    low, high = wilson(36, 40)
    assert found["accuracy"] == {"score": 0.9, "low": low, "high": high, "n": 40, "method": "wilson"}
    assert found["agreement"] is None, "no policy to compare with among the runs"
    assert "prefers the chosen answer in 0.900" in gain_lines([found])[0]


def test_a_run_that_learned_from_examples_has_no_entry(bench: Bench) -> None:
    sft = "20260103-000000-sft-cccc"
    recipe = dump_recipe(make_recipe("sft", bench.project.model.name))
    write_run(bench.root, sft, [Started("host", 1, ["cpu"], 1), Finished(4, {}, "adapter", "step 4")], recipe)
    assert gains(bench, board("base", "policy", 5, 30, -0.4), [sft]) == []


def test_a_run_that_was_removed_since_is_passed_over(bench: Bench) -> None:
    found = gains(bench, board("base", "policy", 5, 30, -0.4), ["20260104-000000-dpo-gone", DPO])
    assert [known["run"] for known in found] == [DPO]
