"""The judge at work: its scores for a candidate's answers, and how far it can be trusted. Used only inside a worker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_file, sha256_text, write_json_atomic
from rung.engine.generation.client import Decoding
from rung.engine.generation.endpoint import ChatEndpoint
from rung.engine.generation.prompting import fit_prompt
from rung.engine.ladder.answers import Answer, ScoreStore
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.local_model import LocalModels
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.metrics.judge import Generate, JudgeCase, Judgment, Message, judge_pairs, summarise_judgments
from rung.engine.metrics.judge_check import check_judge, read_labels
from rung.engine.project.schema import JudgeModel, ProjectSettings

JUDGE_TOKENS = 512
_CASES_AT_ONCE = 32


def judge_answers(
    project: ProjectSettings,
    models: LocalModels,
    examples: Sequence[EvaluationExample],
    answers: Mapping[str, Answer],
) -> Iterator[list[dict[str, Any]]]:
    """For each example the judge's score of the answer against the reference, and its choice in either order.

    Some at a time, as they come.
    """
    judge = declared_judge(project)
    cases = [JudgeCase(one.id, one.question, answers[one.id].answer, one.reference) for one in examples]
    for start in range(0, len(cases), _CASES_AT_ONCE):
        lines = []
        for judgment in judge_pairs(
            _generate(project, judge, models), cases[start : start + _CASES_AT_ONCE], judge.criterion
        ):
            seen = {"a_first": judgment.a_first, "b_first": judgment.b_first}
            lines.append({"example": judgment.id, "score": judgment.score, **seen})
        yield lines


def check_against_labels(root: Path, project: ProjectSettings, models: LocalModels) -> None:
    """Ask the judge about the pairs that the user has labelled; once for each judge and file of labels."""
    judge = declared_judge(project)
    memory = root / "evaluations" / "judge.json"
    if judge.labels is None:
        words = "unchecked: rung.yaml names no labels of your own (judge.labels)"
        write_json_atomic(memory, {"key": judge_key(project), "words": words})
        return
    labels = root / judge.labels
    key = f"{judge_key(project)} {sha256_file(labels)}"
    if memory.exists() and read_json(memory).get("key") == key:
        return
    check = check_judge(_generate(project, judge, models), read_labels(labels), judge.criterion)
    write_json_atomic(memory, {"key": key, "words": check.words, "check": asdict(check)})


def judge_words(root: Path) -> str | None:
    """What the last check against labels said; None before one was made."""
    memory = root / "evaluations" / "judge.json"
    return str(read_json(memory)["words"]) if memory.exists() else None


def judge_figures(root: Path, candidate: str, key: str) -> dict[str, Any] | None:
    """How the judge saw a candidate's answers beside the references: wins, losses, ties, and how steady it was.

    `key` is that of the scores (`score_key`). None where the judge has scored nothing.
    """
    lines = ScoreStore(root, candidate).lines(key)
    judgments = [Judgment(line["example"], line.get("a_first"), line.get("b_first"), ("", "")) for line in lines]
    if not any(judgment.choice is not None for judgment in judgments):
        return None
    found = summarise_judgments(judgments)
    agreement = found.agreement
    words = (
        f"against the references {found.a_wins} wins, {found.b_wins} losses, {found.ties} ties; both orders agree in "
        f"{agreement.score:.0%} [{agreement.low:.0%}, {agreement.high:.0%}]"
    )
    if found.first_place is not None:
        words += f"; the answer shown first is preferred in {found.first_place:.0%}"
    if found.unreadable:
        words += f"; {found.unreadable} without a verdict"
    return {
        "words": words,
        "wins": found.a_wins,
        "losses": found.b_wins,
        "ties": found.ties,
        "unreadable": found.unreadable,
        "order_agreement": found.agreement.score,
        "first_place": found.first_place,
    }


def judge_key(project: ProjectSettings) -> str:
    """A hash of what decides the judge's choices: its model and its criterion."""
    judge = declared_judge(project)
    endpoint = next((one for one in project.endpoints if one.name == judge.endpoint), None)
    named = {"url": endpoint.url, "model": endpoint.model} if endpoint is not None else None
    local = judge.model.model_dump() if judge.model is not None else None
    return sha256_text(canonical_json({"endpoint": named, "model": local, "criterion": judge.criterion}))[:8]


def declared_judge(project: ProjectSettings) -> JudgeModel:
    """The judge of rung.yaml. Raises EngineError where it names none."""
    if project.judge is None or (project.judge.model is None and project.judge.endpoint is None):
        raise EngineError(
            "The metric judge needs a judge", "rung.yaml: judge names no model and no endpoint", "name one under judge:"
        )
    return project.judge


def _generate(project: ProjectSettings, judge: JudgeModel, models: LocalModels) -> Generate:
    if judge.endpoint is not None:
        settings = next(one for one in project.endpoints if one.name == judge.endpoint)

        def by_endpoint(conversations: list[list[Message]]) -> list[str]:
            with ChatEndpoint(settings) as chat:
                return chat.generate(conversations)

        return by_endpoint

    def by_model(conversations: list[list[Message]]) -> list[str]:
        from rung.engine.generation.batched import Request

        assert judge.model is not None
        model = models.open(CandidateSpec(model=judge.model))
        args = judge.model.template_args
        fitted = [fit_prompt(model.tokenizer, turns, args, model.context, JUDGE_TOKENS) for turns in conversations]
        requests = [Request(one.ids, one.max_new_tokens) for one in fitted]
        return [one.text for one in model.generate(requests, Decoding(JUDGE_TOKENS), ())]

    return by_model
