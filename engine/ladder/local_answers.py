"""Answers of a local model to many examples, in batches of like length. Used only inside a worker."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rung.engine.core.files import canonical_json, sha256_text
from rung.engine.generation.batch_sizes import plan_batches
from rung.engine.generation.batched import Generated, Request
from rung.engine.generation.client import Decoding
from rung.engine.generation.prompting import fit_prompt, render
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.local_model import OpenModel
from rung.engine.ladder.prompts import build_messages
from rung.engine.ladder.sources import Material
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.retrieval.chunks import Chunk


@dataclass(frozen=True)
class _Prepared:
    material: Material
    request: Request
    prompt_hash: str
    chunks: tuple[Chunk, ...]
    cuts: tuple[str, ...]

    @property
    def size(self) -> int:
        return self.request.size


class LocalAnswers:
    """Generates what is missing of one candidate's answers."""

    def __init__(self, model: OpenModel, spec: CandidateSpec, report: Callable[[Event], None]) -> None:
        self._model, self._spec, self._report = model, spec, report
        decoding = spec.decoding
        self._decoding = Decoding(decoding.max_new_tokens, decoding.temperature, decoding.top_p, decoding.seed)

    def run(self, material: Sequence[Material], store: AnswerStore, latency_examples: int = 0) -> None:
        """Answer all that is not in the store yet, longest prompts first.

        Batches hang on the whole list, not on what is missing, and one that was cut short by a kill is done anew: so
        an evaluation that was broken off ends with the very answers of one that was not.
        """
        prepared = sorted(
            (self._prepare(item) for item in material), key=lambda item: (-item.size, item.material.example.id)
        )
        alone = _evenly(sorted(item.material.example.id for item in prepared), latency_examples)
        done = 0
        for batch in plan_batches(prepared):
            if any(item.material.example.id not in store.answers for item in batch):
                answers = self._answer(batch)
                store.add([self._timed(item, answer, alone) for item, answer in zip(batch, answers, strict=True)])
            done += len(batch)
            self._report(Phase("evaluate", done, len(prepared), "answers"))

    def _prepare(self, material: Material) -> _Prepared:
        spec, tokenizer = self._spec, self._model.tokenizer
        budget = None
        if material.chunks is not None and self._model.context is not None:
            budget = self._room_for_passages(material)
        built = build_messages(
            spec,
            material.example,
            material.shots,
            material.chunks,
            lambda text: len(tokenizer(text)["input_ids"]),
            budget,
        )
        fitted = fit_prompt(
            tokenizer, built.messages, spec.model.template_args, self._model.context, spec.decoding.max_new_tokens
        )
        prompt_hash = sha256_text(canonical_json(fitted.ids))[:16]
        seed = int(sha256_text(f"{spec.decoding.seed}/{material.example.id}")[:15], 16)
        request = Request(fitted.ids, fitted.max_new_tokens, seed)
        chunks = built.chunks
        if fitted.last_message is not None:
            chunks = _what_is_left(chunks, str(built.messages[-1]["content"]), fitted.last_message)
        return _Prepared(material, request, prompt_hash, chunks, (*built.cuts, *fitted.cuts))

    def _room_for_passages(self, material: Material) -> int:
        """Tokens that the turn with the passages may hold, beside all other turns and the answer.

        At least a quarter of the context: where examples take all the rest, they go first (`fit_prompt` drops them).
        """
        assert self._model.context is not None
        bare = build_messages(self._spec, material.example, material.shots, ())
        others = [*bare.messages[:-1], {**bare.messages[-1], "content": ""}]
        frame = len(render(self._model.tokenizer, others, self._spec.model.template_args))
        return max(self._model.context // 4, self._model.context - self._spec.decoding.max_new_tokens - frame)

    def _answer(self, batch: Sequence[_Prepared]) -> list[Answer]:
        started = time.perf_counter()
        generated = self._model.generate([item.request for item in batch], self._decoding, self._spec.decoding.stop)
        share = (time.perf_counter() - started) / len(batch)
        return [_as_answer(item, result, share) for item, result in zip(batch, generated, strict=True)]

    def _timed(self, item: _Prepared, answer: Answer, alone: set[str]) -> Answer:
        """The answer with the time it takes alone, for the few examples whose time is taken."""
        if item.material.example.id not in alone:
            return answer
        started = time.perf_counter()
        self._model.generate([item.request], self._decoding, self._spec.decoding.stop)
        seconds = time.perf_counter() - started + item.material.search_seconds
        return replace(answer, latency_s=round(seconds, 4))


def _as_answer(item: _Prepared, generated: Generated, seconds: float) -> Answer:
    return Answer(
        example=item.material.example.id,
        prompt_hash=item.prompt_hash,
        answer=generated.text.strip(),
        tokens_in=len(item.request.ids),
        tokens_out=len(generated.ids),
        seconds=round(seconds + item.material.search_seconds, 4),
        stop_reason=generated.stop_reason,
        chunks=[{"id": chunk.id, "source": chunk.label, "text": chunk.text} for chunk in item.chunks],
        cuts=list(item.cuts),
    )


def _what_is_left(chunks: Sequence[Chunk], whole: str, left: str) -> tuple[Chunk, ...]:
    """The passages with what is left of them where the message that holds them lost its beginning: maybe nothing.

    All of them stay, in their order: an answer names them by their numbers.
    """
    lost, at, found = len(whole) - len(left), 0, []
    for chunk in chunks:
        start = whole.find(chunk.text, at)
        at = max(at, start) + len(chunk.text) if start >= 0 else at
        found.append(chunk if start < 0 else replace(chunk, text=chunk.text[max(0, lost - start) :]))
    return tuple(found)


def _evenly(names: Sequence[str], count: int) -> set[str]:
    """About `count` of the names, evenly spaced, the same ones each time."""
    if count <= 0 or not names:
        return set()
    step = max(1, len(names) // count)
    return set(names[::step][:count])
