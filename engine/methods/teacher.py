"""A teacher's answers to prompts, kept as they come: a run that breaks off goes on where it stopped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.encode import encode_prompt, stop_ids
from engine.data.prompts import Prompted
from engine.data.shapes import Message
from engine.endpoint import ChatDecoding, ChatEndpoint
from engine.errors import EngineError
from engine.events import Phase
from engine.files import append_json_line, canonical_json, cut_torn_line, read_json_lines, sha256_text
from engine.generation import Decoding
from engine.methods.distill_settings import DistillSettings
from engine.models import load_model, load_tokenizer
from engine.worker.reporter import Reporter

BATCH = 16
TOLD_EVERY = 8


@dataclass(frozen=True)
class Asked:
    """One answer that is wanted: to which prompt, the how-manieth, and the key under which it is kept."""

    prompt: Prompted
    sample: int
    key: str


@dataclass(frozen=True)
class Answer:
    """One answer of the teacher. `complete` is False for one that was cut off at the limit."""

    prompt: Prompted
    text: str
    complete: bool


def teacher_answers(
    prompts: Sequence[Prompted],
    settings: DistillSettings,
    file: Path,
    root: Path,
    device: str,
    seed: int,
    reporter: Reporter,
    after_each: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """The teacher's answers, prompt by prompt; those that `file` has are not asked for again.

    `after_each` is called once an answer is kept, and may end the run.
    Raises EngineError when the teacher can't be reached or loaded; what it gave until then stays in the file.
    """
    cut_torn_line(file)
    wanted = [
        Asked(prompt, sample, _key(prompt, sample, settings))
        for prompt in prompts
        for sample in range(settings.samples)
    ]
    known: dict[str, dict[str, Any]] = {line["key"]: line for line in read_json_lines(file)}
    missing = [asked for asked in wanted if asked.key not in known]
    if missing:
        done = len(wanted) - len(missing)
        reporter.write(Phase("load", done, len(wanted), "teacher's answers"))
        source = _from_endpoint if settings.teacher.endpoint is not None else _from_model
        try:
            for asked, text, complete in source(missing, settings, root, device, seed):
                known[asked.key] = {"key": asked.key, "text": text, "complete": complete}
                append_json_line(file, known[asked.key])
                after_each()
                done += 1
                if done % TOLD_EVERY == 0 or done == len(wanted):
                    reporter.write(Phase("load", done, len(wanted), "teacher's answers"))
        except EngineError as error:
            hint = f"{error.hint}; " if error.hint else ""
            raise EngineError(
                error.message,
                f"{error.details}\n{done} of {len(wanted)} answers are kept".strip(),
                f"{hint}rung resume goes on where it stopped",
            ) from error
    return [Answer(asked.prompt, known[asked.key]["text"], known[asked.key]["complete"]) for asked in wanted]


def _turns(prompt: Prompted, settings: DistillSettings) -> list[Message]:
    if settings.teacher.system is None:
        return prompt.prompt
    rest = [turn for turn in prompt.prompt if turn["role"] != "system"]
    return [{"role": "system", "content": settings.teacher.system}, *rest]


def _key(prompt: Prompted, sample: int, settings: DistillSettings) -> str:
    teacher = settings.teacher
    # Where a service is reached, and how fast, says nothing about its answers.
    who = teacher.model.model_dump() if teacher.model else {"name": teacher.endpoint and teacher.endpoint.model}
    asked = {
        "turns": _turns(prompt, settings),
        "line": prompt.line,
        "sample": sample,
        "teacher": who,
        "temperature": teacher.temperature,
        "max_new_tokens": teacher.max_new_tokens,
    }
    return sha256_text(canonical_json(asked))[:16]


def _from_endpoint(
    missing: Sequence[Asked], settings: DistillSettings, _root: Path, _device: str, seed: int
) -> Iterator[tuple[Asked, str, bool]]:
    assert settings.teacher.endpoint is not None
    decoding = ChatDecoding(settings.teacher.max_new_tokens, settings.teacher.temperature)
    with ChatEndpoint(settings.teacher.endpoint) as endpoint:
        # One pass a sample, each with a seed of its own: the service would give the same answer again.
        for sample in sorted({asked.sample for asked in missing}):
            these = [asked for asked in missing if asked.sample == sample]
            seeded = ChatDecoding(decoding.max_tokens, decoding.temperature, seed=seed + sample)
            for number, reply in endpoint.stream_replies([_turns(asked.prompt, settings) for asked in these], seeded):
                yield these[number], reply.text, reply.finish_reason != "length"


def _from_model(
    missing: Sequence[Asked], settings: DistillSettings, root: Path, device: str, seed: int
) -> Iterator[tuple[Asked, str, bool]]:
    from engine.ladder.batched import Request, generate_batch
    from engine.worker.answers import answer_text, model_stop_ids

    assert settings.teacher.model is not None
    teacher = settings.teacher
    tokenizer = load_tokenizer(settings.teacher.model, root)
    model = load_model(settings.teacher.model, root, device)
    stops = frozenset(stop_ids(tokenizer, model_stop_ids(model)))
    decoding = Decoding(max_new_tokens=teacher.max_new_tokens, temperature=teacher.temperature)
    args = settings.teacher.model.template_args
    asked_ids = [(asked, encode_prompt(_turns(asked.prompt, settings), tokenizer, args)) for asked in missing]
    asked_ids.sort(key=lambda pair: len(pair[1]))
    for start in range(0, len(asked_ids), BATCH):
        batch = asked_ids[start : start + BATCH]
        requests = [
            # The seed is the question's own, so that an answer does not depend on what was asked before a stop.
            Request(ids, teacher.max_new_tokens, seed=(seed + int(asked.key[:8], 16)) % (1 << 31))
            for asked, ids in batch
        ]
        answers = generate_batch(model, model, tokenizer, requests, decoding, stops)
        for (asked, _), answer in zip(batch, answers, strict=True):
            yield asked, answer_text(tokenizer, answer.ids), answer.stop_reason == "end"
