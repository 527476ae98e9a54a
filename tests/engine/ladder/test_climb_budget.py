"""A climb's budget is shared over the rungs that apply, and hopeless variants don't use it up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import rung.engine.ladder.climb as climbing
from rung.engine.jobs.events import Event
from rung.engine.ladder.bench import FIRST_ROWS, Bench, Trial
from rung.engine.ladder.budget import Cost, Spending
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.spec import RUNGS, CandidateSpec
from rung.engine.ladder.tune_rung import TrainingStopped, TunedRuns
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.summary import aggregate
from rung.engine.project.load import save_project
from rung.engine.project.schema import BudgetSettings
from tests.helpers.chat_service import answer, chat_service
from tests.helpers.ladder_project import climb, make_model, make_project, of_type


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


# Shares


def test_each_rung_gets_an_equal_share_of_what_is_left_and_leaves_the_rest_to_the_next() -> None:
    spent = [0]
    spending = Spending(BudgetSettings(tokens=900), lambda: spent[0])
    spending.begin_share(Cost(0, 0), 3)
    assert not spending.share_is_spent(Cost(tokens=299)) and spending.share_is_spent(Cost(tokens=300))
    spent[0] = 100  # The first rung used a third of its share: 800 are left for two.
    spending.begin_share(Cost(0, 100), 2)
    assert not spending.share_is_spent(Cost(tokens=399)) and spending.share_is_spent(Cost(tokens=400))
    spent[0] = 600
    assert spending.share_is_spent() and spending.exhausted() is None
    spending.begin_share(Cost(0, 600), 1)
    assert not spending.share_is_spent(Cost(tokens=299)) and spending.share_is_spent(Cost(tokens=300))
    spent[0] = 900
    assert spending.exhausted() == "the budget of 900 tokens is spent (900)"


def test_time_is_shared_in_the_same_way_and_no_budget_has_no_shares() -> None:
    spending = Spending(BudgetSettings(minutes=60), lambda: 0, seconds_before=1_500)
    spending.begin_share(Cost(0, 0), 3)
    assert spending.share_is_spent() and spending.exhausted() is None
    spending.begin_share(Cost(1_500, 0), 2)
    assert not spending.share_is_spent() and spending.share_is_spent(Cost(seconds=1_050))
    unlimited = Spending(BudgetSettings(), lambda: 10**9)
    unlimited.begin_share(Cost(0, 0), 3)
    assert not unlimited.share_is_spent(Cost(10**9, 10**9)) and unlimited.exhausted() is None


def test_the_prompt_rung_leaves_the_others_their_share(tmp_path: Path, model: Path) -> None:
    trials = {"k": [0, 1, 2, 3, 4, 5, 6], "selections": ["fixed"]}
    make_project(tmp_path / "free", model, prompt_trials=trials)
    free = climb(tmp_path / "free", rungs=("prompt",))
    make_project(tmp_path / "bound", model, prompt_trials=trials)
    events: list[Event] = []
    result = climb(
        tmp_path / "bound", rungs=("prompt", "rag"), overrides={"budget": {"tokens": free["tokens"]}}, events=events
    )
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt", "rag"] and result["skipped"].keys() == {"tune"}
    (chosen, _) = of_type(events, "chosen")
    assert "the rung's share of the budget was spent" in chosen.why
    spent_by_prompt = read_share(tmp_path / "bound")
    assert spent_by_prompt <= 0.75 * free["tokens"], "half is its share; one variant may reach beyond it"


def read_share(root: Path) -> float:
    """Tokens that the prompt rung spent: what was spent when the RAG rung began."""
    from rung.engine.core.files import read_json

    began: dict[str, Any] = read_json(root / "evaluations" / "climb" / "record.json")["began"]
    return float(began["rag"][1])


def test_a_rung_that_the_budget_does_not_reach_leaves_the_verdict_open(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model, target=0.9)
    save_project(tmp_path, project.model_copy(update={"documents": None}))
    result = climb(tmp_path, rungs=RUNGS, overrides={"budget": {"tokens": 1}})
    assert result["skipped"]["rag"] == "the project has no documents", "time has nothing to do with it"
    assert result["out_of_budget"] == ["tune"]
    verdict = result["verdict"]
    assert (verdict["rung"], verdict["headline"]) == ("undecided", "Undecided: the budget ended before fine-tuning")
    assert verdict["reasons"][0].startswith("the budget ended before fine-tuning: the budget of 1 tokens is spent")


def test_a_training_that_the_budget_ends_counts_as_one_that_was_not_reached(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(bench: Bench, rag: CandidateSpec | None, should_stop: Callable[[], str | None]) -> TunedRuns:
        raise TrainingStopped("Training was stopped before its end", "the time budget of 5 minutes is spent (5.1)")

    monkeypatch.setattr(climbing, "climb_tune", stopped)
    make_project(tmp_path, model)
    result = climb(tmp_path, rungs=("prompt", "tune"))
    assert result["out_of_budget"] == ["tune"] and result["failed"] == {}
    assert "the training was stopped and saved, the time budget of 5 minutes is spent" in result["skipped"]["tune"]


def test_endpoints_wait_for_the_rungs_where_the_share_is_spent(tmp_path: Path, model: Path) -> None:
    with chat_service(lambda sent: answer("red")) as service:
        make_project(tmp_path, model, endpoints=[{"name": "big", "url": service.url, "model": "m"}])
        events: list[Event] = []
        climb(tmp_path, rungs=("prompt", "rag"), overrides={"budget": {"tokens": 1}}, events=events)
        assert service.requests == []
        assert of_type(events, "warning")[-1].message == "Not measured: big"
        result = climb(tmp_path, rungs=("prompt", "rag"))
    assert any("big" in row["label"] for row in result["scoreboard"])


# Variants


def every_nth(n: int) -> Callable[[int], bool]:
    return lambda row: row % n == 0


class Rehearsed(Bench):
    """A bench whose variants are right on the rows that a table says, by their system prompt."""

    def __init__(self, root: Path, model: Path, right: dict[str, Callable[[int], bool]], **changes: Any) -> None:
        super().__init__(root, make_project(root, model, counts=(2, 100, 2), metrics=["exact_match"]), lambda _: None)
        self._right = right
        self.tried: list[tuple[str, int]] = []

    def try_out(
        self, spec: CandidateSpec, examples: Sequence[EvaluationExample] | None = None, asked: int = 0
    ) -> Trial:
        name, rows = str(spec.system_prompt), self.validation if examples is None else examples
        self.tried.append((name, len(rows)))
        scores = [
            ExampleScore(row.id, self.metric.key, float(self._right[name](number))) for number, row in enumerate(rows)
        ]
        return Trial(spec, name, aggregate(self.metric, scores), scores, {})

    def variants(self) -> list[CandidateSpec]:
        return [CandidateSpec(model=self.project.model, system_prompt=name) for name in self._right]


def test_variants_that_are_all_at_zero_after_the_first_rows_are_given_up(tmp_path: Path, model: Path) -> None:
    bench = Rehearsed(tmp_path, model, dict.fromkeys("abcdef", lambda row: False))
    best = bench.choose(bench.variants())
    assert bench.tried == [(name, FIRST_ROWS) for name in "abcdef"]
    assert best.candidate == "a", "of equal ones the plainest, which comes first"
    assert best.note == f"all 6 are at 0 after {FIRST_ROWS} validation rows"


def test_two_variants_are_given_up_too_and_a_single_right_answer_keeps_them(tmp_path: Path, model: Path) -> None:
    bench = Rehearsed(tmp_path, model, {"a": lambda row: False, "b": lambda row: row == 5})
    assert bench.choose(bench.variants()).candidate == "b"
    assert bench.tried == [("a", FIRST_ROWS), ("b", FIRST_ROWS), ("b", 100), ("a", 100)]


def test_variants_are_halved_and_the_last_ones_compared_on_all_rows(tmp_path: Path, model: Path) -> None:
    right = {name: every_nth(9 - number) for number, name in enumerate("abcdefgh")}
    bench = Rehearsed(tmp_path, model, right)
    best = bench.choose(bench.variants())
    assert best.candidate == "h" and best.estimate.n == 100 and not best.note
    rows_asked = [rows for _, rows in bench.tried]
    assert rows_asked == [24] * 8 + [48] * 4 + [100] * 2
    assert {name for name, rows in bench.tried if rows == 100} == {"g", "h"}
