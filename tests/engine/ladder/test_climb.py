"""The climb: every rung that applies on one scoreboard, skipped ones with their reason, budgets, and refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, read_json_lines
from rung.engine.jobs.events import Event, Finished, Started
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder import climb as climbing
from rung.engine.ladder.advice_facts import LearningGain
from rung.engine.ladder.bench import Bench
from rung.engine.ladder.jobs import REPORT_FILE
from rung.engine.ladder.project_facts import gather_facts
from rung.engine.ladder.spec import RUNGS, CandidateSpec
from rung.engine.ladder.tune_rung import LearningCurve, TunedRuns
from rung.engine.project.load import load_project, save_project
from rung.engine.project.schema import ProjectSettings
from tests.helpers.chat_service import Response, Sent, answer, chat_service
from tests.helpers.ladder_project import climb, make_model, make_project, of_type, write_rows
from tests.helpers.recorded import write_run


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def always_right(root: Path) -> str:
    (root / "metric.py").write_text("def score(answer, reference, row):\n    return 1.0\n")
    return "metric.py:score"


def test_the_rungs_that_apply_are_measured_and_the_result_is_what_the_contract_names(
    tmp_path: Path, model: Path
) -> None:
    make_project(tmp_path, model)
    result = climb(tmp_path)
    assert {"verdict", "scoreboard", "pairs", "runs"} <= result.keys()
    assert set(result["verdict"]) >= {"rung", "candidate", "reasons"}
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt", "rag"]
    assert {"a", "b", "difference", "low", "high", "p"} <= result["pairs"][0].keys()
    assert all(row["n"] == 8 and row["low"] <= row["score"] <= row["high"] for row in result["scoreboard"])
    assert result["runs"] == [] and result["skipped"] == {"tune": "it was left out of this climb"}
    assert result["tokens"] > 0
    assert json.loads(json.dumps(result)) == result, "plain JSON"
    report = (tmp_path / "evaluations" / "climb" / REPORT_FILE).read_text()
    assert report.startswith("# things: ")
    for part in ("| candidate |", "●", "| a | b |", "## Retrieval by itself", "## Not measured", "Spent: "):
        assert part in report


def test_what_is_on_disk_is_not_done_twice(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model)
    first, again = climb(tmp_path), climb(tmp_path)
    assert again["tokens"] == 0 and again["scoreboard"] == first["scoreboard"] and again["pairs"] == first["pairs"]
    assert read_json(tmp_path / "scoreboard.json")["held_out"]["looks"] == 2


def test_choices_are_made_on_validation_rows_only(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model)
    result = climb(tmp_path)
    scored = {row["candidate"] for row in result["scoreboard"]}
    held_out = len(read_json_lines(tmp_path / "data" / "test.jsonl"))
    validation = len(read_json_lines(tmp_path / "data" / "validation.jsonl"))
    for file in (tmp_path / "answers").glob("*.jsonl"):
        expected = held_out + validation if file.stem in scored else validation
        assert len(read_json_lines(file)) <= expected


def test_a_rung_without_material_is_skipped_with_its_reason(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    data = project.data.model_copy(update={"train": None})
    save_project(tmp_path, project.model_copy(update={"documents": None, "data": data}))
    events: list[Event] = []
    result = climb(tmp_path, rungs=RUNGS, events=events)
    assert result["skipped"] == {
        "rag": "the project has no documents", "tune": "the project has no training rows",
    }  # fmt: skip
    assert [event.rung for event in of_type(events, "skipped")] == ["rag", "tune"]
    assert "retrieval was not measured: the project has no documents" in result["verdict"]["reasons"]


@pytest.mark.parametrize(("target", "measured"), [(0.5, ["prompt"]), (0.999, ["prompt", "rag"])])
def test_stop_early_ends_at_the_first_rung_that_clears_the_target(
    tmp_path: Path, model: Path, target: float, measured: list[str]
) -> None:
    tmp_path.mkdir(exist_ok=True)
    make_project(tmp_path, model, metrics=[always_right(tmp_path)], target=target)
    result = climb(tmp_path, stop_early=True)
    assert [row["rung"] for row in result["scoreboard"]] == measured
    if measured == ["prompt"]:
        assert "prompt clears the target already" in result["skipped"]["rag"]
        assert result["verdict"]["rung"] == "prompt"
    else:
        assert result["verdict"]["rung"] == "undecided", "right on all of 8 rows doesn't show 99.9 %, nor that it fails"


def test_without_stop_early_every_rung_is_measured_and_the_lowest_that_clears_is_the_verdict(
    tmp_path: Path, model: Path
) -> None:
    make_project(tmp_path, model, metrics=[always_right(tmp_path)])
    result = climb(tmp_path, overrides={"target": 0.5})
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt", "rag"]
    assert result["verdict"]["rung"] == "prompt"


def test_spent_tokens_end_the_climb_after_what_was_begun(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model)
    events: list[Event] = []
    result = climb(tmp_path, rungs=RUNGS, overrides={"budget": {"tokens": 1}}, events=events)
    assert len({event.label for event in of_type(events, "tried")}) == 1, "the first variant only"
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt"]
    assert all("the budget of 1 tokens is spent" in why for why in result["skipped"].values())
    assert list(result["skipped"]) == ["rag", "tune"]


def test_spent_time_counts_over_all_sittings(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model)
    result = climb(tmp_path, overrides={"budget": {"minutes": 1e-6}})
    assert result["seconds"] > 0 and "the time budget of 1e-06 minutes is spent" in result["skipped"]["rag"]


def test_a_target_that_the_metric_cannot_reach_is_said_and_gives_none(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model, metrics=["exact_match"])
    events: list[Event] = []
    result = climb(tmp_path, overrides={"target": 80.0}, events=events)
    assert result["verdict"]["rung"] == "none"
    assert "exact_match lies between 0 and 1, the target is 80" in of_type(events, "warning")[0].details


def test_held_out_rows_in_the_training_rows_are_refused_before_anything_is_asked(tmp_path: Path, model: Path) -> None:
    make_project(tmp_path, model)
    train, test = (read_json_lines(tmp_path / "data" / f"{name}.jsonl") for name in ("train", "test"))
    write_rows(tmp_path / "data" / "train.jsonl", [*train, test[3]])
    with pytest.raises(EngineError, match="1 held-out row stands in data/train.jsonl too"):
        climb(tmp_path)
    assert not (tmp_path / "answers").exists()


def test_an_endpoint_is_a_row_beside_the_rungs(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "secret-key-1234")

    def respond(sent: Sent) -> Response:
        assert sent.headers["authorization"] == "Bearer secret-key-1234"
        return answer("It is red.")

    with chat_service(respond) as service:
        endpoint = {"name": "big", "url": service.url, "model": "m", "key_variable": "HOUSE_KEY"}
        make_project(tmp_path, model, endpoints=[endpoint])
        result = climb(tmp_path, rungs=("prompt",))
    labels = [row["label"] for row in result["scoreboard"]]
    assert len(labels) == 2 and any("big" in label for label in labels)
    assert not any(row["chosen"] for row in result["scoreboard"] if "big" in row["label"]), "not a rung"
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.suffix in (".json", ".jsonl", ".md"))
    assert "secret-key-1234" not in written


def test_an_endpoint_that_refuses_is_said_and_the_climb_goes_on(tmp_path: Path, model: Path) -> None:
    with chat_service(lambda sent: Response({"error": {"message": "no such key"}}, 401)) as service:
        make_project(tmp_path, model, endpoints=[{"name": "big", "url": service.url, "model": "m"}])
        events: list[Event] = []
        result = climb(tmp_path, rungs=("prompt",), events=events)
    assert "The endpoint big refused the request" in of_type(events, "warning")[0].message
    assert [row["rung"] for row in result["scoreboard"]] == ["prompt"]


def curve_of(scores: list[tuple[int, float]], low: float) -> Callable[..., LearningCurve]:
    gain = LearningGain(scores[-2][0], scores[-1][0], scores[-1][1] - scores[-2][1], low, 0.5, 60)
    return lambda *_: LearningCurve(scores, gain)


def test_a_score_that_still_improves_with_more_rows_is_in_advice_and_report(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(bench: Bench, rag: CandidateSpec | None, should_stop: Callable[[], str | None]) -> TunedRuns:
        return TunedRuns([bench.try_out(bench_spec(bench.project))], [])

    def bench_spec(project: ProjectSettings) -> CandidateSpec:
        # Stands for a tuned model where no training is wanted: the base again, under another name.
        return climbing.CandidateSpec(model=project.model, system_prompt="Tuned.", run="20260101-000000-sft-aaaa")

    monkeypatch.setattr(climbing, "climb_tune", trained)
    monkeypatch.setattr(climbing, "learning_curve", curve_of([(3, 0.2), (6, 0.4), (12, 0.7)], low=0.1))
    make_project(tmp_path, model)
    plain = climb(tmp_path, rungs=("prompt", "tune"))
    assert plain["learning_curve"] == [], "nothing more is trained unless it is asked for"
    result = climb(tmp_path, rungs=("prompt", "tune"), overrides={"tune": {"learning_curve": [0.25, 0.5]}})
    assert result["learning_curve"] == [(3, 0.2), (6, 0.4), (12, 0.7)]
    report = (tmp_path / "evaluations" / "climb" / REPORT_FILE).read_text()
    assert "## Do more training rows help?" in report and "       12 rows  0.700 ████" in report
    advice = gather_facts(tmp_path, load_project(tmp_path)).advice
    figure = "12 rows against 6: better by 0.300 [0.100, 0.500] on 60 validation rows"
    assert figure in [one.evidence for one in advice]
    # The same step, its interval reaching below zero: nothing is advised on it.
    monkeypatch.setattr(climbing, "learning_curve", curve_of([(3, 0.2), (6, 0.4), (12, 0.7)], low=-0.1))
    climb(tmp_path, rungs=("prompt", "tune"), overrides={"tune": {"learning_curve": [0.25, 0.5]}})
    assert not [one for one in gather_facts(tmp_path, load_project(tmp_path)).advice if "validation" in one.evidence]


def test_what_judgments_have_taught_is_told_against_the_plain_model_which_goes_on_to_stand_for_its_rung(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "20260101-000000-dpo-aaaa"

    def trained(bench: Bench, rag: CandidateSpec | None, should_stop: Callable[[], str | None]) -> TunedRuns:
        # Stands for a tuned model where no training is wanted: the base again, under another name.
        spec = CandidateSpec(
            model=bench.project.model, system_prompt="Tuned.", run=run, decoding=bench.project.decoding
        )
        return TunedRuns([bench.try_out(spec)], [RunFolder(tmp_path / "runs" / run)])

    monkeypatch.setattr(climbing, "climb_tune", trained)
    make_project(tmp_path, model, prompt_trials={"k": [0]})
    write_run(tmp_path, run, [Started("host", 1, ["cpu"], 1), Finished(4, {"loss": 1.0}, "adapter", "step 4")], "")
    result = climb(tmp_path, rungs=("prompt", "tune"))
    prompts = {row["label"]: row["chosen"] for row in result["scoreboard"] if row["rung"] == "prompt"}
    assert prompts == {"zero-shot": True}
    (found,) = result["gains"]
    plain = next(row["candidate"] for row in result["scoreboard"] if row["label"] == "zero-shot")
    assert found["base"] == plain and found["wins"] + found["losses"] + found["ties"] == 8
    assert "## What judgments have taught" in (tmp_path / "evaluations" / "climb" / REPORT_FILE).read_text()
