"""A teacher's answers to prompts, kept as they come: a run that breaks off goes on where it stopped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.core.files import append_json_line, canonical_json, cut_torn_line, read_json_lines, sha256_text
from rung.engine.data.encode import encode_prompt, stop_ids
from rung.engine.data.prompts import Prompted
from rung.engine.data.shapes import Message
from rung.engine.generation.client import Decoding
from rung.engine.generation.endpoint import ChatDecoding, ChatEndpoint
from rung.engine.jobs.events import Phase
from rung.engine.jobs.reporter import Reporter
from rung.engine.models.load import context_length, free_memory, load_model, load_tokenizer
from rung.engine.training.methods.distill_settings import DistillSettings

TOLD_EVERY = 8
End = Literal["end", "length", "no_room", "refused"]


@dataclass(frozen=True)
class Asked:
    """One answer that is wanted: to which prompt, the how-manieth, and the key under which it is kept."""

    prompt: Prompted
    sample: int
    key: str


@dataclass(frozen=True)
class Answer:
    """One answer of the teacher: whole, cut off at the limit, or none: its context has no room for one, or its service
    refuses the prompt."""

    prompt: Prompted
    text: str
    end: End


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
            for asked, text, end in source(missing, settings, root, device, seed, reporter):
                known[asked.key] = {"key": asked.key, "text": text, "end": end}
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
        if settings.teacher.model is not None:
            free_memory()  # The student is loaded next.
    return [Answer(asked.prompt, known[asked.key]["text"], _end_of(known[asked.key])) for asked in wanted]


def _end_of(kept: dict[str, Any]) -> End:
    """How a kept answer ended; earlier versions kept whether it was complete."""
    end: End = kept["end"] if "end" in kept else "end" if kept["complete"] else "length"
    return end


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
    missing: Sequence[Asked], settings: DistillSettings, _root: Path, _device: str, seed: int, _reporter: Reporter
) -> Iterator[tuple[Asked, str, End]]:
    assert settings.teacher.endpoint is not None
    decoding = ChatDecoding(settings.teacher.max_new_tokens, settings.teacher.temperature)
    with ChatEndpoint(settings.teacher.endpoint) as endpoint:
        # One pass a sample, each with a seed of its own: the service would give the same answer again.
        for sample in sorted({asked.sample for asked in missing}):
            these = [asked for asked in missing if asked.sample == sample]
            seeded = ChatDecoding(decoding.max_tokens, decoding.temperature, seed=seed + sample)
            turns = [_turns(asked.prompt, settings) for asked in these]
            for number, reply in endpoint.stream_replies(turns, seeded, keep_refused=True):
                yield these[number], reply.text, reply.end


def _from_model(
    missing: Sequence[Asked], settings: DistillSettings, root: Path, device: str, seed: int, reporter: Reporter
) -> Iterator[tuple[Asked, str, End]]:
    """Answered as evaluations are: batches bounded by tokens, halved where memory is short; longest prompts first."""
    from rung.engine.generation.batch_sizes import plan_batches
    from rung.engine.generation.batched import Generated, Request, generate_batch
    from rung.engine.generation.greedy import answer_text, model_stop_ids
    from rung.engine.generation.within_memory import answer_within_memory

    teacher = settings.teacher
    assert teacher.model is not None
    tokenizer = load_tokenizer(teacher.model, root)
    model = load_model(teacher.model, root, device)
    stops = frozenset(stop_ids(tokenizer, model_stop_ids(model)))
    decoding = Decoding(max_new_tokens=teacher.max_new_tokens, temperature=teacher.temperature)
    context = context_length(model.config)
    requests: list[tuple[Request, Asked]] = []
    for asked in missing:
        ids = encode_prompt(_turns(asked.prompt, settings), tokenizer, teacher.model.template_args)
        room = teacher.max_new_tokens if context is None else min(teacher.max_new_tokens, context - len(ids))
        if room <= 0:
            yield asked, "", "no_room"
            continue
        # The seed is the question's own, so that an answer does not depend on what was asked before a stop.
        own_seed = (seed + int(asked.key[:8], 16)) % (1 << 31)
        requests.append((Request(ids, room, own_seed), asked))
    requests.sort(key=lambda pair: -pair[0].size)

    def answer(batch: Sequence[Request]) -> list[Generated]:
        return generate_batch(model, model, tokenizer, batch, decoding, stops)

    asked_in_order = iter([asked for _, asked in requests])
    for batch in plan_batches([request for request, _ in requests]):
        for given in answer_within_memory(answer, batch, reporter.write):
            text = answer_text(tokenizer, given.ids)
            yield next(asked_in_order), text, "end" if given.stop_reason == "end" else "length"
