"""Evaluation with real tiny models: the same answer whatever the batch, kept as it comes, never done twice."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import rung.engine.generation.batch_sizes as batch_sizes
import rung.engine.ladder.judging as judging
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.generation.batched import Generated, Request, generate_batch
from rung.engine.generation.client import Decoding
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.answers import Answer, AnswerStore, append_lines
from rung.engine.ladder.bench import Bench
from rung.engine.ladder.board import build_board
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.prompts import build_messages
from rung.engine.ladder.scoring import without_citations
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.project.schema import FewShotSettings
from rung.engine.recipe.schema import ModelSettings
from rung.engine.retrieval.chunks import Chunk
from tests.helpers.chat_service import Response, Sent, answer, chat_service
from tests.helpers.ladder_project import make_model, make_project, write_rows
from tests.helpers.tiny import Architecture, make_tiny_model

END = 3  # the tiny tokenizer's end of an answer


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def nothing(_event: Event) -> None:
    """A report that nobody reads."""


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def requests(count: int, longest: int = 40) -> list[Request]:
    random = Random(0)
    return [
        Request(
            [random.randrange(4, 260) for _ in range(random.randint(1, longest))], random.randint(3, 12), seed=number
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma2", "gpt2"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_an_answer_does_not_hang_on_its_batch(tmp_path: Path, architecture: Architecture, temperature: float) -> None:
    model, tokenizer = loaded(make_tiny_model(tmp_path, architecture=architecture))
    decoding = Decoding(temperature=temperature, top_p=0.9)
    stops = frozenset({END, *range(60, 80)})

    def run(batch: list[Request]) -> list[Generated]:
        return generate_batch(model, model, tokenizer, batch, decoding, stops)

    together = run(requests(11))
    alone = [run([request])[0] for request in requests(11)]
    assert [one.ids for one in together] == [one.ids for one in alone]
    assert {one.stop_reason for one in together} <= {"end", "length"}


def test_greedy_answers_are_those_of_transformers(tmp_path: Path) -> None:
    import torch

    model, tokenizer = loaded(make_tiny_model(tmp_path))
    ours = generate_batch(model, model, tokenizer, requests(5), Decoding(), frozenset({END}))
    for request, found in zip(requests(5), ours, strict=True):
        ids = torch.tensor([request.ids])
        theirs = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=request.max_new_tokens, do_sample=False,
            eos_token_id=END, pad_token_id=0,
        )  # fmt: skip
        assert found.ids == [token for token in theirs[0, ids.shape[1] :].tolist() if token != END]


def test_an_answer_ends_at_a_stop_text(tmp_path: Path) -> None:
    model, tokenizer = loaded(make_tiny_model(tmp_path))
    request = Request([10, 20, 30], 12)
    whole = generate_batch(model, model, tokenizer, [request], Decoding(), frozenset())[0]
    stop = whole.text[2:4]
    cut = generate_batch(model, model, tokenizer, [request], Decoding(), frozenset(), [stop])[0]
    assert cut.text == whole.text[: whole.text.index(stop)] and cut.stop_reason == "stop"
    assert len(cut.ids) < len(whole.ids)


def test_what_was_answered_is_not_answered_again(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    first, again = Bench(tmp_path, project, nothing), Bench(tmp_path, project, nothing)
    tried, known = first.try_out(base_spec(project)), again.try_out(base_spec(project))
    assert first.answerer.tokens > 0 and again.answerer.tokens == 0
    assert tried.answers == known.answers and tried.candidate == known.candidate


class _Killed(Exception):
    pass


def _after(batches: int) -> Callable[[Event], None]:
    """A report that breaks off after so many batches."""
    seen = []

    def report(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "evaluate" and event.done:
            seen.append(event)
            if len(seen) == batches:
                raise _Killed

    return report


def test_a_broken_off_evaluation_ends_like_an_unbroken_one(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "ROWS_A_BATCH", 3)
    project = make_project(tmp_path / "broken", model, counts=(4, 10, 3))
    make_project(tmp_path / "whole", model, counts=(4, 10, 3))
    with pytest.raises(_Killed):
        Bench(tmp_path / "broken", project, _after(2)).try_out(base_spec(project))
    file = next((tmp_path / "broken" / "answers").glob("*.jsonl"))
    assert len(read_json_lines(file)) == 6
    # A kill in the middle of a write: one line of the second batch is torn, one is missing.
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:20])
    broken = Bench(tmp_path / "broken", project, nothing).try_out(base_spec(project))
    whole = Bench(tmp_path / "whole", project, nothing).try_out(base_spec(project))
    texts = [{name: one.answer for name, one in trial.answers.items()} for trial in (broken, whole)]
    assert texts[0] == texts[1] and len(texts[0]) == 10
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_a_torn_line_is_cut_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_lines(path, [{"n": 1}])
    with path.open("a") as stream:
        stream.write('{"n": ' + "2" * 100_000)
    append_lines(path, [{"n": 3}])
    assert read_json_lines(path) == [{"n": 1}, {"n": 3}]


def test_a_changed_row_is_scored_again_and_a_kept_score_is_not(tmp_path: Path, model: Path) -> None:
    (tmp_path / "metric.py").write_text("def score(answer, reference, row):\n    return float(row['worth'])\n")
    project = make_project(tmp_path, model, metrics=["metric.py:score"])
    file = tmp_path / "data" / "validation.jsonl"
    rows = read_json_lines(file)
    for worth, expected in ((0.25, 0.25), (0.5, 0.5)):
        write_rows(file, [{**row, "worth": worth} for row in rows])
        assert Bench(tmp_path, project, nothing).try_out(base_spec(project)).estimate.score == expected
    scores = next((tmp_path / "scores").glob("*.jsonl"))
    assert len(read_json_lines(scores)) == 2 * len(rows)
    assert len(read_json_lines(next((tmp_path / "answers").glob("*.jsonl")))) == len(rows)


def test_time_alone_is_measured_for_a_few(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    bench = Bench(tmp_path, project, nothing)
    entry, _ = bench.score_held_out(base_spec(project), "plain", chosen=True)
    answers = AnswerStore(tmp_path, entry.candidate).answers.values()
    assert 1 <= sum(one.latency_s is not None for one in answers) <= 5


def test_a_prompt_over_the_context_says_what_was_cut(tmp_path: Path) -> None:
    small = make_tiny_model(tmp_path / "model", context=96)
    project = make_project(tmp_path / "p", small)
    bench = Bench(tmp_path / "p", project, nothing)
    crowded = base_spec(project).model_copy(update={"few_shot": FewShotSettings(k=2)})
    cuts = [cut for one in bench.try_out(crowded).answers.values() for cut in one.cuts]
    assert any("turns were left out" in cut for cut in cuts)
    assert not [cut for one in bench.try_out(base_spec(project)).answers.values() for cut in one.cuts if "turns" in cut]


def test_passages_that_do_not_fit_are_left_out_and_said(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model, documents={"path": "documents", "k": 12}, decoding={"max_new_tokens": 4})
    for file in (tmp_path / "documents").iterdir():
        file.write_text(file.read_text() + "It is a thing with a colour and a number. " * 2)
    spec = base_spec(project).model_copy(update={"retrieval": project.documents})
    found = Bench(tmp_path, project, nothing).try_out(spec).answers.values()
    assert all("passages left out" in " ".join(one.cuts) for one in found)
    assert all(0 < len(one.chunks) < 12 and one.chunks[0]["text"] for one in found)


def test_a_changed_document_is_another_candidate(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    spec = base_spec(project).model_copy(update={"retrieval": project.documents})
    before = Bench(tmp_path, project, nothing).try_out(spec).candidate
    next((tmp_path / "documents").iterdir()).write_text("Something else altogether.\n")
    assert Bench(tmp_path, project, nothing).try_out(spec).candidate != before


def test_changed_held_out_rows_are_refused(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model)
    Bench(tmp_path, project, nothing).score_held_out(base_spec(project), "plain", chosen=True)
    file = tmp_path / "data" / "test.jsonl"
    file.write_text(file.read_text().replace("red", "violet"))
    with pytest.raises(EngineError, match="have changed since they were frozen"):
        Bench(tmp_path, project, nothing).score_held_out(base_spec(project), "plain", chosen=True)


@pytest.mark.parametrize("copied", [lambda row: row, lambda row: {**row, "question": row["question"].upper() + " "}])
def test_held_out_rows_in_the_training_rows_are_refused(
    tmp_path: Path, model: Path, copied: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    project = make_project(tmp_path, model)
    train, test = (read_json_lines(tmp_path / "data" / f"{name}.jsonl") for name in ("train", "test"))
    write_rows(tmp_path / "data" / "train.jsonl", [*train, copied(test[0])])
    with pytest.raises(EngineError, match="1 held-out row stands in data/train.jsonl too") as told:
        Bench(tmp_path, project, nothing).score_held_out(base_spec(project), "plain", chosen=True)
    assert "row 1 is its row 13" in told.value.details and "overrides: [leaks]" in told.value.hint
    passed = project.model_copy(update={"overrides": ["leaks"]})
    warned: list[Event] = []
    Bench(tmp_path, passed, warned.append).score_held_out(base_spec(project), "plain", chosen=True)
    assert any("Overridden" in str(event) for event in warned)


def test_an_endpoint_answers_and_is_cached(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "secret-key-1234")

    def respond(sent: Sent) -> Response:
        assert sent.headers["authorization"] == "Bearer secret-key-1234"
        return answer(f"It is red. ({sent.body['messages'][-1]['content'][:5]})")

    with chat_service(respond) as service:
        project = make_project(
            tmp_path, model,
            endpoints=[{"name": "big", "url": service.url, "model": "m", "key_variable": "HOUSE_KEY",
                        "price_in": 10, "price_out": 20}],
        )  # fmt: skip
        spec = base_spec(project).model_copy(update={"endpoint": "big"})
        first = Bench(tmp_path, project, nothing).try_out(spec)
        asked = len(service.requests)
        again = Bench(tmp_path, project, nothing).try_out(spec)
    assert asked == len(service.requests) == 6
    assert first.candidate == again.candidate and first.estimate.score == pytest.approx(1 / 6)
    assert all((one.tokens_in, one.tokens_out, one.stop_reason) == (7, 3, "end") for one in first.answers.values())
    written = "".join(file.read_text() for file in tmp_path.rglob("*.json*") if file.is_file())
    assert "secret-key-1234" not in written


@pytest.mark.parametrize(
    "metric", ["exact_match", "judge", {"name": "function", "function": "own.py:score", "range": [0, 1]}]
)
def test_a_row_that_the_endpoint_refuses_counts_as_wrong_and_does_not_end_the_evaluation(
    tmp_path: Path, model: Path, metric: Any
) -> None:
    def respond(sent: Sent) -> Response:
        asked = sent.body["messages"][-1]["content"]
        if sent.body["model"] == "judge":
            assert "number 18?" not in asked and "number 19?" not in asked, "there is no answer to judge"
            return answer("Verdict: 1")
        if "number 18?" in asked:
            return Response({"error": {"message": "The prompt was filtered"}}, 400)
        if "number 19?" in asked:
            return answer("It", finish_reason="content_filter")
        return answer("red")

    (tmp_path / "own.py").write_text("def score(answer, reference, row):\n    return 1.0\n")
    with chat_service(respond) as service:
        project = make_project(
            tmp_path, model, metrics=[metric], judge={"endpoint": "judge"},
            endpoints=[{"name": name, "url": service.url, "model": name} for name in ("big", "judge")],
        )  # fmt: skip
        spec = base_spec(project).model_copy(update={"endpoint": "big"})
        bench = Bench(tmp_path, project, lambda _: None)
        entry, estimate = bench.score_held_out(spec, spec.label, chosen=False)
        asked = len(service.requests)
        assert bench.score_held_out(spec, spec.label, chosen=False)[1] == estimate and len(service.requests) == asked
    # The judge names the first place in both orders: a tie.
    expected = {"exact_match": 1 / 8, "judge": 6 * 0.5 / 8}.get(str(metric), 6 / 8)
    assert (estimate.n, estimate.score) == (8, expected)
    (row,) = build_board(tmp_path, project, bench.metrics, bench.held_out)["scoreboard"]
    assert (row["candidate"], row["refused"], row["n"]) == (entry.candidate, 2, 8)
    refusals = [line["refusal"] for line in read_json_lines(tmp_path / "answers" / f"{entry.candidate}.jsonl")]
    assert sorted(refusals)[-2:] == ["HTTP 400: The prompt was filtered", "the service's content filter"]


def test_the_judge_scores_and_is_marked_unchecked(tmp_path: Path, model: Path) -> None:
    def respond(sent: Sent) -> Response:
        return answer("Answer 2 is longer.\nVerdict: tie" if "compare two answers" in str(sent.body) else "blue")

    with chat_service(respond) as service:
        project = make_project(
            tmp_path, model, metrics=["judge"], judge={"endpoint": "big"},
            endpoints=[{"name": "big", "url": service.url, "model": "m"}],
        )  # fmt: skip
        bench = Bench(tmp_path, project, nothing)
        entry, found = bench.score_held_out(base_spec(project), "plain", chosen=True)
    assert found.score == 0.5
    assert json.loads((tmp_path / "evaluations" / "judge.json").read_text())["words"].startswith("unchecked")
    assert {line["a_first"] for line in read_json_lines(tmp_path / "scores" / f"{entry.candidate}.jsonl")} == {"tie"}


def test_a_judge_that_is_cut_off_goes_on_where_it_stopped_and_its_key_is_shown_nowhere(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_CASES_AT_ONCE", 2)
    monkeypatch.setenv("JUDGE_KEY", "secret-key-1234")
    refused: list[Sent] = []

    def respond(sent: Sent) -> Response:
        assert sent.headers["authorization"] == "Bearer secret-key-1234"
        if len(service.requests) > 8 and not refused:
            refused.append(sent)
        if refused and not mended:
            return Response({"error": {"message": "the key secret-key-1234 has run out"}}, 401)
        return answer("Verdict: 1")

    mended: list[bool] = []
    with chat_service(respond) as service:
        project = make_project(
            tmp_path, model, metrics=["judge"], judge={"endpoint": "big"},
            endpoints=[{"name": "big", "url": service.url, "model": "m", "key_variable": "JUDGE_KEY"}],
        )  # fmt: skip
        events: list[Event] = []
        with pytest.raises(EngineError) as told:
            Bench(tmp_path, project, events.append).score_held_out(base_spec(project), "plain", chosen=True)
        assert "the key *** has run out" in told.value.details and "JUDGE_KEY" in told.value.hint
        done = [event.done for event in events if isinstance(event, Phase) and event.unit == "judgments"]
        assert done == [0, 2, 4], "of 8, in either order"
        asked = len(service.requests)
        mended.append(True)
        _, found = Bench(tmp_path, project, nothing).score_held_out(base_spec(project), "plain", chosen=True)
        assert len(service.requests) - asked == 8
    # Whoever is shown first is preferred: both orders together say nothing.
    assert found.score == 0.5 and found.n == 8
    written = "".join(file.read_text() for file in tmp_path.rglob("*.json*") if file.is_file())
    assert "secret-key-1234" not in written


def test_perplexity_of_the_reference(tmp_path: Path, model: Path) -> None:
    project = make_project(tmp_path, model, metrics=["reference_perplexity"])
    found = Bench(tmp_path, project, nothing).try_out(base_spec(project)).estimate
    # Random weights know nothing: about as surprised as by 264 equally likely tokens.
    assert 150 < found.score < 400 and found.low < found.score < found.high


EXAMPLE = EvaluationExample(
    "e", ({"role": "system", "content": "Own."}, {"role": "user", "content": "Why?"}), "Because.", {}, 1
)
PLAIN = CandidateSpec(model=ModelSettings(name="pocket"))


def test_prompts_hold_instructions_examples_passages_and_the_question() -> None:
    shot = EvaluationExample("s", ({"role": "user", "content": "How?"},), "So.", {}, 1)
    assert [turn["content"] for turn in build_messages(PLAIN, EXAMPLE).messages] == ["Own.", "Why?"]
    told = PLAIN.model_copy(update={"system_prompt": "Brief.", "prompt_template": "<{question}>"})
    assert [turn["content"] for turn in build_messages(told, EXAMPLE, [shot]).messages] == [
        "Brief.",
        "<How?>",
        "So.",
        "<Why?>",
    ]
    silent = PLAIN.model_copy(update={"system_prompt": ""})
    assert [turn["content"] for turn in build_messages(silent, EXAMPLE).messages] == ["Why?"]
    chunk = Chunk("1", "d.md", 0, 4, "Text {question}")
    built = build_messages(PLAIN, EXAMPLE, [], [chunk])
    assert "[1] Text {question}" in built.messages[-1]["content"] and built.messages[-1]["content"].endswith("Why?")
    assert built.chunks == (chunk,)


def test_citations_are_taken_out_before_scoring() -> None:
    assert without_citations("Blue [1], and red [2, 3].", 3) == "Blue, and red."
    assert without_citations("[sic] a[0] [4] [2]", 3) == "[sic] a[0] [4]"


def test_an_answer_reads_back_with_fields_of_later_versions(tmp_path: Path) -> None:
    append_lines(tmp_path / "answers" / "abc.jsonl", [{
        "example": "e", "prompt_hash": "p", "answer": "a", "tokens_in": 1, "tokens_out": 2, "seconds": 0.1,
        "stop_reason": "length", "mood": "fine",
    }])  # fmt: skip
    found = AnswerStore(tmp_path, "abc").answers["e"]
    assert found == Answer("e", "p", "a", 1, 2, 0.1, "length") and found.truncated
