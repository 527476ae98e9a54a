"""Distillation: a teacher's answers kept and filtered, a stop in the middle, the student's gap, and logits."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.files import read_json_lines
from engine.runs.folder import RunFolder, new_run_folder
from engine.runs.reader import RunReader
from tests.chat_service import Response, Sent, answer, chat_service
from tests.method_runs import (
    WORDS,
    chat_rows,
    curve,
    last_evaluation,
    make_recipe,
    sit,
    values,
    warnings_of,
    write_rows,
)
from tests.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def right_word(sent: Sent) -> str:
    """The answer that chat_rows has to the question asked."""
    question = sent.body["messages"][-1]["content"]
    return WORDS[int(question.split()[1].rstrip("?")) % 8]


def mostly_right(sent: Sent) -> Response:
    question = sent.body["messages"][-1]["content"]
    return answer(
        "wrong" if question == "Colour 3?" else right_word(sent), "length" if "Colour 5?" in question else "stop"
    )


def block(url: str, **changes: Any) -> dict[str, Any]:
    teacher = {"endpoint": {"name": "big", "url": url, "model": "big", "concurrency": 1}}
    return {"teacher": teacher, "filter": {"metric": "exact_match"}, **changes}


def test_good_answers_are_learned_and_the_gap_is_shown(model_folder: Path, tmp_path: Path) -> None:
    whole = new_run_folder(write_rows(tmp_path / "whole", chat_rows(24)), "distill")
    with chat_service(mostly_right) as service:
        recipe = make_recipe("distill", model_folder, distill=block(service.url))
        sit(recipe, whole)
        assert len(service.requests) == 24
    rows = read_json_lines(whole.path / "teacher" / "train.jsonl")
    held = read_json_lines(whole.path / "teacher" / "validation.jsonl")
    assert len(rows) + len(held) == 22
    said = {row["messages"][-1]["content"] for row in rows}
    assert said <= set(WORDS)
    assert any("were cut off" in text for text in warnings_of(whole))
    figures = last_evaluation(whole)
    assert figures["score_gap"] == figures["teacher_score"] - figures["student_score"]
    assert values(whole, "loss")[-1] < values(whole, "loss")[0]
    assert RunReader(whole).catch_up().status == "finished"

    broken = new_run_folder(write_rows(tmp_path / "broken", chat_rows(24)), "distill")
    with chat_service(mostly_right) as service:
        recipe = make_recipe("distill", model_folder, distill=block(service.url))
        sit(recipe, broken, stop_at=4)
    sit(recipe, broken)  # The teacher is gone; nothing more is asked of it.
    assert curve(broken, "loss") == curve(whole, "loss")


def test_a_teacher_that_breaks_off_is_asked_only_for_the_rest(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(16)), "distill")
    short = {"max_steps": 2, "eval_steps": 2}
    asked: list[str] = []

    def dies_after_ten(sent: Sent) -> Response:
        asked.append(sent.body["messages"][-1]["content"])
        return answer(right_word(sent)) if len(asked) <= 10 else Response({"error": "no credit left"}, 403)

    with chat_service(dies_after_ten) as service, pytest.raises(EngineError, match="refused") as caught:
        sit(make_recipe("distill", model_folder, distill=block(service.url), training=short), folder)
    assert "10 of 14 answers are kept" in caught.value.details
    assert "goes on where it stopped" in caught.value.hint
    answers = folder.path / "teacher" / "train_answers.jsonl"
    answers.write_bytes(answers.read_bytes() + b'{"key": "torn')
    with chat_service(lambda sent: answer(right_word(sent))) as service:
        sit(make_recipe("distill", model_folder, distill=block(service.url), training=short), folder)
        rest = [sent.body["messages"][-1]["content"] for sent in service.requests]
    assert RunReader(folder).catch_up().status == "finished"
    assert len(rest) == 6
    assert not set(rest) & set(asked[:10])


def test_samples_of_a_local_teacher_go_on_where_they_stopped(model_folder: Path, tmp_path: Path) -> None:
    """A random model says nothing good, but it says it again: the same answers after a stop as without one."""
    from engine.data.prompts import prompts_from
    from engine.data.read import Row
    from engine.methods.distill_settings import DistillSettings
    from engine.methods.teacher import teacher_answers
    from engine.worker.reporter import Reporter

    settings = DistillSettings.model_validate(
        {
            "teacher": {"model": {"name": str(model_folder)}, "temperature": 1.0, "max_new_tokens": 4},
            "samples": 2,
        }
    )
    prompts, _ = prompts_from([Row(row, "rows", n) for n, row in enumerate(chat_rows(12))], "prompt_completion")

    def answers(file: Path) -> list[str]:
        reporter = Reporter(tmp_path / "events.jsonl")
        try:
            return [item.text for item in teacher_answers(prompts, settings, file, tmp_path, "cpu", 7, reporter)]
        finally:
            reporter.close()

    whole = answers(tmp_path / "whole.jsonl")
    assert len(whole) == 24
    assert len(set(whole)) > 12
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "broken.jsonl").write_text("".join(lines[:5]) + lines[5][:9])
    assert answers(tmp_path / "broken.jsonl") == whole


def trained_teacher(root: Path, model: Path) -> RunFolder:
    folder = new_run_folder(write_rows(root, chat_rows(16)), "sft")
    training = {"num_train_epochs": 16, "learning_rate": 1e-2, "eval_steps": 64}
    sit(make_recipe("sft", model, adapter=None, training=training), folder)
    return folder


def test_probabilities_of_a_local_teacher(model_folder: Path, tmp_path: Path) -> None:
    teacher = trained_teacher(tmp_path, model_folder)
    distill = {
        "mode": "logits",
        "teacher": {"model": {"name": str(teacher.path / "model")}},
        "metric": "exact_match",
        "max_completion_length": 8,
        "beta": 0.5,
    }
    training = {"max_steps": 12, "gradient_accumulation_steps": 2, "learning_rate": 5e-3}
    recipe = make_recipe("distill", model_folder, adapter=None, distill=distill, training=training)
    whole = new_run_folder(tmp_path, "distill")
    sit(recipe, whole)
    losses = values(whole, "loss")
    assert sum(losses[-3:]) < sum(losses[:3])
    assert len(values(whole, "completions/mean_length")) == 12
    figures = last_evaluation(whole)
    assert figures["score_gap"] == figures["teacher_score"] - figures["student_score"]
    assert len(values(whole, "evaluation/score_gap")) == len(values(whole, "evaluation/loss")) > 1
    broken = new_run_folder(tmp_path, "distill")
    sit(recipe, broken, stop_at=5)
    sit(recipe, broken)
    assert curve(broken, "loss") == curve(whole, "loss")


@pytest.mark.parametrize(
    ("distill", "words"),
    [
        ({}, "distill.teacher: is missing"),
        ({"teacher": {}}, "name one teacher"),
        ({"teacher": {"model": {"name": "pocket"}}, "samples": 3}, "temperature 0"),
        ({"teacher": {"endpoint": {"name": "a", "url": "http://x", "model": "m"}}, "mode": "logits"}, "local teacher"),
        ({"teacher": {"model": {"name": "./gone"}}}, "gone"),
        ({"teacher": {"model": {"name": "pocket"}}, "filter": {"metric": "exackt"}}, "exact_match"),
        ({"teacher": {"model": {"name": "pocket"}}, "metric": "exackt"}, "exact_match"),
        (
            {"teacher": {"model": {"name": "pocket"}}, "mode": "logits", "filter": {"metric": "exact_match"}},
            "set metric",
        ),
    ],
)
def test_a_faulty_block_is_refused_before_anything_is_asked(
    model_folder: Path, tmp_path: Path, distill: dict[str, Any], words: str
) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(8)), "distill")
    with pytest.raises(EngineError) as caught:
        sit(make_recipe("distill", model_folder, distill=distill), folder)
    assert words in str(caught.value)
