"""A local teacher, a judge, and whatever else answers for a training: within memory, and within the context."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.data.prompts import Prompted
from rung.engine.generation import batch_sizes, batched
from rung.engine.generation.batched import Generated, Request
from rung.engine.generation.within_memory import answer_within_memory
from rung.engine.jobs.events import Event
from rung.engine.jobs.reporter import Reporter
from rung.engine.models.load import load_model, load_tokenizer
from rung.engine.recipe.schema import ModelSettings
from rung.engine.training.methods.answer_filter import sort_answers
from rung.engine.training.methods.distill_settings import DistillSettings
from rung.engine.training.methods.kept_replies import LocalSpeaker
from rung.engine.training.methods.teacher import Answer, teacher_answers
from tests.helpers.tiny import make_tiny_model

CONTEXT = 96
Batches = list[list[Request]]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("teacher"), context=CONTEXT)


def prompts(*lengths: int) -> list[Prompted]:
    return [
        Prompted([{"role": "user", "content": "x" * length}], None, "a file", line, {})
        for line, length in enumerate(lengths, start=1)
    ]


def settings(teacher: Path, **changes: Any) -> DistillSettings:
    return DistillSettings.model_validate(
        {"teacher": {"model": {"name": str(teacher)}, "max_new_tokens": 8}, **changes}
    )


def answers_of(teacher: Path, asked: list[Prompted], root: Path, **changes: Any) -> list[Answer]:
    root.mkdir(exist_ok=True)
    reporter = Reporter(root / "events.jsonl")
    try:
        return teacher_answers(asked, settings(teacher, **changes), root / "kept.jsonl", root, "cpu", 0, reporter)
    finally:
        reporter.close()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Every batch that is answered."""
    return _watch(monkeypatch, lambda _batch: None)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Every batch that is tried, where more than three rows don't fit."""

    def refuse(batch: Sequence[Request]) -> None:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return _watch(monkeypatch, refuse)


def _watch(monkeypatch: pytest.MonkeyPatch, before: Callable[[Sequence[Request]], None]) -> Batches:
    generate, tried = batched.generate_batch, list[list[Request]]()

    def watched(model: Any, forward: Any, tokenizer: Any, batch: Sequence[Request], *rest: Any) -> list[Generated]:
        tried.append(list(batch))
        before(batch)
        return generate(model, forward, tokenizer, batch, *rest)

    monkeypatch.setattr(batched, "generate_batch", watched)
    return tried


def test_a_batch_that_does_not_fit_is_halved_and_every_prompt_is_answered(
    teacher: Path, tmp_path: Path, short_of_memory: Batches
) -> None:
    asked = prompts(*range(5, 25))
    found = answers_of(teacher, asked, tmp_path / "short")
    assert [answer.prompt for answer in found] == asked
    assert max(len(batch) for batch in short_of_memory) == 20
    told = [event for event in read_json_lines(tmp_path / "short" / "events.jsonl") if event["type"] == "recovered"]
    assert told[0]["old"] == {"batch": 20} and told[0]["new"] == {"batch": 10}
    alone = [answers_of(teacher, [one], tmp_path / f"alone-{one.line}")[0] for one in asked[:4]]
    assert [answer.text for answer in found[:4]] == [answer.text for answer in alone]


def test_batches_are_bounded_by_tokens_not_by_rows(
    teacher: Path, tmp_path: Path, seen: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "TOKENS_A_BATCH", 200)
    answers_of(teacher, prompts(*[2] * 12, 40, 40), tmp_path)
    assert sum(len(batch) for batch in seen) == 14
    assert all(len(batch) * max(request.size for request in batch) <= 200 for batch in seen)
    assert len(seen[0]) < len(seen[-1]), "the longest come first, few at once"


def test_a_prompt_that_fills_the_context_is_left_out_with_the_reason(teacher: Path, tmp_path: Path) -> None:
    found = answers_of(teacher, prompts(5, 300, 6), tmp_path)
    assert [answer.end == "no_room" for answer in found] == [False, True, False]
    dropped = sort_answers(found, [None] * 3, settings(teacher), None)[1].dropped
    assert dropped == "the prompt fills the teacher's context: there is no room for an answer"
    again = answers_of(teacher, prompts(5, 300, 6), tmp_path)
    assert again == found, "and it is not asked again"


def test_an_answer_is_limited_to_the_room_that_the_prompt_leaves(teacher: Path, tmp_path: Path, seen: Batches) -> None:
    answers_of(teacher, prompts(1), tmp_path / "measured")
    frame = len(seen[0][0].ids) - 1
    answers_of(teacher, prompts(CONTEXT - frame - 3), tmp_path / "tight")
    assert seen[1][0].max_new_tokens == 3 and seen[1][0].size == CONTEXT


def test_what_an_earlier_version_kept_is_still_known(teacher: Path, tmp_path: Path, seen: Batches) -> None:
    answers_of(teacher, prompts(5), tmp_path)
    (kept,) = read_json_lines(tmp_path / "kept.jsonl")
    old = {"key": kept["key"], "text": "said", "complete": False}
    (tmp_path / "kept.jsonl").write_text(json.dumps(old) + "\n")
    seen.clear()
    (found,) = answers_of(teacher, prompts(5), tmp_path)
    assert (found.text, found.end, seen) == ("said", "length", [])


def test_a_judge_and_a_model_that_revises_are_halved_too(teacher: Path, short_of_memory: Batches) -> None:
    model, told = ModelSettings(name=str(teacher)), list[Event]()
    speaker = LocalSpeaker(
        {}, partial(load_model, model, teacher, "cpu"), load_tokenizer(model, teacher), template_args={},
        max_new_tokens=4, temperature=0.0, batch_size=16, seed=0, report=told.append,
    )  # fmt: skip
    talks = [[{"role": "user", "content": "x" * length}] for length in (*range(3, 20), 300)]
    replies = dict(speaker.speak(talks))
    assert sorted(replies) == list(range(18)) and replies[17].end == "no_room"
    assert max(len(batch) for batch in short_of_memory) == 16
    assert {event.type for event in told} == {"recovered"}


def test_a_single_answer_that_does_not_fit_is_said() -> None:
    def answer(_batch: Sequence[Request]) -> list[Generated]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EngineError, match="a single answer doesn't fit") as caught:
        answer_within_memory(answer, [Request([1] * 5, 7), Request([1], 7)])
    assert "a prompt of 5 tokens, an answer of up to 7" in caught.value.details


def test_another_error_is_not_taken_for_full_memory() -> None:
    def answer(_batch: Sequence[Request]) -> list[Generated]:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        answer_within_memory(answer, [Request([1], 7), Request([1], 7)])
