"""Distillation: a teacher's answers kept and filtered, a stop in the middle, the student's gap, and logits."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.events import Event, Phase
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from tests.helpers.chat_service import Response, Sent, answer, chat_service
from tests.helpers.method_runs import (
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
from tests.helpers.tiny import make_tiny_model


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
    said_why = warnings_of(whole)
    assert any("its score is below 1" in text for text in said_why)
    assert any("cut off at 256 tokens" in text for text in said_why)
    report = (whole.path / "report.md").read_text()
    assert f"- teacher's answers for train: {len(rows)} of " in report
    assert "judge" not in report
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


def test_a_prompt_that_the_service_refuses_is_left_out_and_the_others_are_learned(
    model_folder: Path, tmp_path: Path
) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(16)), "distill")
    short = {"max_steps": 2, "eval_steps": 2}

    def refuses_one(sent: Sent) -> Response:
        if sent.body["messages"][-1]["content"] == "Colour 3?":
            return Response({"error": {"message": "content policy"}}, 400)
        return answer(right_word(sent))

    with chat_service(refuses_one) as service:
        sit(make_recipe("distill", model_folder, distill=block(service.url), training=short), folder)
    assert RunReader(folder).catch_up().status == "finished"
    rows = [
        row for name in ("train", "validation") for row in read_json_lines(folder.path / "teacher" / f"{name}.jsonl")
    ]
    assert len(rows) == 15
    assert any("1: the teacher's service refuses the prompt" in text for text in warnings_of(folder))


def test_samples_of_a_local_teacher_go_on_where_they_stopped(model_folder: Path, tmp_path: Path) -> None:
    """A random model says nothing good, but it says it again: the same answers after a stop as without one."""
    from rung.engine.data.prompts import prompts_from
    from rung.engine.data.read import Row
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.methods.distill_settings import DistillSettings
    from rung.engine.training.methods.teacher import teacher_answers

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


def by_judge(url: str, teacher_url: str = "", **changes: Any) -> dict[str, Any]:
    """A distill block whose judge, and by default whose teacher, is the service."""
    judge = {"endpoint": {"name": "judge", "url": url, "model": "strict", "concurrency": 1}, "criterion": "It is red."}
    return block(teacher_url or url) | {"filter": None, "judge": judge} | changes


def is_verdict_asked(sent: Sent) -> bool:
    return sent.body["model"] == "strict"


def calls_red_good(sent: Sent) -> Response:
    """The teacher says the right word; the judge calls red good, mumbles about blue, and dislikes the others."""
    if not is_verdict_asked(sent):
        return answer(right_word(sent))
    instructions, shown = (turn["content"] for turn in sent.body["messages"])
    assert "Judge by this alone: It is red." in instructions
    said = shown.split("=== answer ===\n")[1].split("\n")[0]
    return answer({"red": "It is.\nVerdict: good", "blue": "Well, it depends."}.get(said, "Verdict: bad"))


def test_a_judge_keeps_the_answers_that_it_calls_good(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(32)), "distill")
    write_rows(tmp_path, chat_rows(16), "validation")
    short = {"max_steps": 1, "eval_steps": 1}
    data = {"validation": "data/validation.jsonl"}
    with chat_service(calls_red_good) as service:
        recipe = make_recipe("distill", model_folder, distill=by_judge(service.url), training=short, data=data)
        sit(recipe, folder)
        asked = [sent for sent in service.requests if is_verdict_asked(sent)]
    assert len(asked) == 32 + 16
    shown = asked[0].body["messages"][1]["content"]
    assert "=== question ===\nColour " in shown and "=== reference answer ===\n" in shown
    rows = read_json_lines(folder.path / "teacher" / "train.jsonl")
    assert [row["messages"][-1]["content"] for row in rows] == ["red"] * 4
    dropped = read_json_lines(folder.path / "teacher" / "train_dropped.jsonl")
    assert {(row["messages"][-1]["content"], row["reason"], row["judge"]) for row in dropped} == {
        ("blue", "the judge gave no verdict", "Well, it depends."),
        *((word, "the judge calls it bad", "Verdict: bad") for word in WORDS if word not in ("red", "blue")),
    }
    why = "24: the judge calls it bad; 4: the judge gave no verdict"
    assert f"4 of 32 of the teacher's answers are kept for train: {why}" in warnings_of(folder)
    report = (folder.path / "report.md").read_text()
    assert f"- teacher's answers for train: 4 of 32 kept; dropped: {why}" in report
    assert "- judge of the answers: the endpoint judge, by: It is red." in report


def test_no_answer_is_judged_twice(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(24)), "distill")
    write_rows(tmp_path, chat_rows(8), "validation")
    short = {"max_steps": 3, "eval_steps": 3}
    data = {"validation": "data/validation.jsonl"}

    def dies_after_ten(sent: Sent) -> Response:
        judged.append(sent.body["messages"][1]["content"])
        return calls_red_good(sent) if len(judged) <= 10 else Response({"error": "no credit left"}, 403)

    judged: list[str] = []
    with chat_service(calls_red_good) as teacher, chat_service(dies_after_ten) as judge:
        recipe = make_recipe(
            "distill", model_folder, distill=by_judge(judge.url, teacher.url), training=short, data=data
        )
        with pytest.raises(EngineError, match="refused") as caught:
            sit(recipe, folder)
    assert "10 replies are kept" in caught.value.details
    assert "goes on where it stopped" in caught.value.hint
    with chat_service(calls_red_good) as service:
        recipe = make_recipe("distill", model_folder, distill=by_judge(service.url), training=short, data=data)
        sit(recipe, folder, stop_at=1)
        rest = [sent.body["messages"][1]["content"] for sent in service.requests if is_verdict_asked(sent)]
        teacher_rest = [sent for sent in service.requests if not is_verdict_asked(sent)]
    assert len(rest) == 24 - 10 + 8
    assert not set(rest[:14]) & set(judged[:10])
    assert len(teacher_rest) == 8  # of the validation rows, which the first sitting did not come to
    sit(recipe, folder)  # Teacher and judge are gone; nothing more is asked of them.
    assert RunReader(folder).catch_up().status == "finished"


def test_the_judge_sees_only_what_the_metric_keeps(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(16)), "distill")
    write_rows(tmp_path, chat_rows(1), "validation")
    data, short = {"validation": "data/validation.jsonl"}, {"max_steps": 1, "eval_steps": 1}

    def respond(sent: Sent) -> Response:
        return answer("Verdict: good") if is_verdict_asked(sent) else mostly_right(sent)

    with chat_service(respond) as service:
        distill = by_judge(service.url, filter={"metric": "exact_match"})
        sit(make_recipe("distill", model_folder, distill=distill, data=data, training=short), folder)
        asked = [sent.body["messages"][1]["content"] for sent in service.requests if is_verdict_asked(sent)]
    assert len(asked) == 14 + 1  # Colour 3 was answered wrongly, and Colour 5 was cut off.
    assert not any("Colour 3?" in shown or "Colour 5?" in shown for shown in asked)


def test_a_local_judge_without_a_verdict_keeps_nothing_and_says_so(model_folder: Path, tmp_path: Path) -> None:
    """A random model calls nothing good. Its replies are kept too: the second sitting loads it for nothing more."""
    folder = new_run_folder(write_rows(tmp_path, chat_rows(8)), "distill")
    judge = {"model": {"name": str(model_folder)}, "max_new_tokens": 4}
    with chat_service(calls_red_good) as service:
        recipe = make_recipe("distill", model_folder, distill=by_judge(service.url, judge=judge))
        with pytest.raises(EngineError, match="good enough for train") as caught:
            sit(recipe, folder)
    assert "7: the judge gave no verdict" in caught.value.details
    assert "judge.criterion" in caught.value.hint
    kept = (folder.path / "teacher" / "train_verdicts.jsonl").read_bytes()
    assert len(kept.splitlines()) == 7
    with pytest.raises(EngineError, match="good enough for train"):
        sit(recipe, folder)
    assert (folder.path / "teacher" / "train_verdicts.jsonl").read_bytes() == kept


@pytest.mark.slow
def test_a_local_judge_that_calls_everything_good_keeps_it(tmp_path: Path) -> None:
    from functools import partial

    from rung.engine.data.prompts import Prompted
    from rung.engine.training.methods.answer_filter import sort_answers
    from rung.engine.training.methods.answer_judge import judge_answers, question
    from rung.engine.training.methods.distill_settings import DistillSettings
    from rung.engine.training.methods.teacher import Answer

    prompts = [Prompted([{"role": "user", "content": "Which?"}], None, "rows", n) for n in range(2)]
    answers = [Answer(prompt, word, "end") for prompt, word in zip(prompts, ("red", "blue"), strict=True)]
    answers.append(Answer(prompts[0], "cut o", "length"))
    lessons = [{"messages": [*question(item, "Red."), {"role": "assistant", "content": "Yes."}]} for item in answers]
    school = new_run_folder(write_rows(tmp_path / "school", lessons * 8), "sft")
    training = {"num_train_epochs": 10, "learning_rate": 1e-2, "eval_steps": 200}
    model = make_tiny_model(tmp_path / "model", context=1024)
    sit(make_recipe("sft", model, adapter=None, training=training, data={"max_length": 1024}), school)
    judge = {"model": {"name": str(school.path / "model")}, "criterion": "Red.", "max_new_tokens": 24}
    settings = DistillSettings.model_validate({"teacher": {"model": {"name": "pocket"}}, "judge": judge})
    assert settings.judge is not None
    told: list[Event] = []
    ask = partial(
        judge_answers, judge=settings.judge, file=tmp_path / "verdicts.jsonl", root=tmp_path, device="cpu", seed=0,
        report=told.append, before_asking=lambda: None,
    )  # fmt: skip
    found = sort_answers(answers, [None, None, None], settings, ask)
    assert [(one.dropped, one.verdict) for one in found] == [
        (None, "Yes."),
        (None, "Yes."),
        ("cut off at 256 tokens", None),
    ]
    assert [(event.done, event.total) for event in told if isinstance(event, Phase)] == [(0, 2), (2, 2)]


def test_each_answer_that_is_not_learned_has_its_reason() -> None:
    from rung.engine.data.prompts import Prompted
    from rung.engine.training.methods.answer_filter import reasons, sort_answers
    from rung.engine.training.methods.distill_settings import DistillSettings
    from rung.engine.training.methods.feedback import Reply
    from rung.engine.training.methods.teacher import Answer

    settings = DistillSettings.model_validate(
        {
            "teacher": {"model": {"name": "pocket"}},
            "filter": {"metric": "exact_match", "least": 0.5},
            "judge": {"model": {"name": "pocket"}},
        }
    )
    prompt, other = (Prompted([{"role": "user", "content": "Which?"}], None, "rows", n) for n in range(2))
    cases = [
        (Answer(prompt, "red", "length"), 1.0, "cut off at 256 tokens"),
        (Answer(prompt, "red", "end"), 1.0, None),
        (Answer(prompt, "red", "end"), 1.0, "the same as another answer to the prompt"),
        (Answer(other, "red", "end"), 1.0, None),
        (Answer(prompt, " ", "end"), 1.0, "empty"),
        (Answer(prompt, "blue", "end"), 0.2, "its score is below 0.5"),
        (Answer(prompt, "pink", "end"), None, "the prompt has no reference"),
        (Answer(prompt, "grey", "end"), 0.5, "the judge calls it bad"),
        (Answer(prompt, "brown", True), 1.0, "the judge gave no verdict"),
        (Answer(prompt, "white", True), 1.0, "the judge gave no verdict: its context has no room for it"),
    ]
    said = {
        "red": Reply("Verdict: good", "end"),
        "grey": Reply("Verdict: bad", "end"),
        "brown": Reply("I can't", "length"),
        "white": Reply("", "no_room"),
    }
    found = sort_answers(
        [answer for answer, _, _ in cases],
        [score for _, score, _ in cases],
        settings,
        lambda asked: [said[answer.text] for answer in asked],
    )
    assert [one.dropped for one in found] == [reason for _, _, reason in cases]
    assert len(reasons(found)) == 8 and all(line.startswith("1: ") for line in reasons(found))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Right and short.\nVerdict: good", "good"),
        ("**Verdict:** bad.", "bad"),
        ('The answer says "Verdict: good".\nVerdict: bad', "bad"),
        ("Verdict: not good", "bad"),
        ("Good.", "good"),
        ("No", "bad"),
        ("<think>Verdict: good</think>Verdict: bad", "bad"),
        ("<think>Verdict: good", None),
        ("It is good.", None),
        ("", None),
    ],
)
def test_a_verdict_is_read_from_the_end_of_the_reply(reply: str, verdict: str | None) -> None:
    from rung.engine.training.methods.answer_judge import read_verdict

    assert read_verdict(reply) == verdict


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
        ({"teacher": {"model": {"name": "pocket"}}, "judge": {}}, "name one judge"),
        ({"teacher": {"model": {"name": "pocket"}}, "judge": {"model": {"name": "./gone"}}}, "gone"),
        ({"teacher": {"model": {"name": "pocket"}}, "judge": {"model": {"name": "pocket"}, "criterion": " "}}, "words"),
        (
            {"teacher": {"model": {"name": "pocket"}}, "mode": "logits", "judge": {"model": {"name": "pocket"}}},
            "a judge could choose",
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
