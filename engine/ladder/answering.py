"""A candidate's answers to examples: from disk where they are there, else generated, batch by batch, and kept.

Used only inside a worker: loads models and indexes, and keeps them for the next candidate.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.candidate import Candidate, identify
from rung.engine.ladder.endpoint_answers import answer_by_endpoint
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.few_shot import FewShotPool, NearestExamples
from rung.engine.ladder.indexes import Indexes, gold_question
from rung.engine.ladder.local_answers import LocalAnswers
from rung.engine.ladder.local_model import LocalModels
from rung.engine.ladder.sources import Material
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.project.schema import EndpointModel, ProjectSettings
from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.quality import is_right

GOLD_DEPTH = 10

Report = Callable[[Event], None]


class Answerer:
    """Answers examples as candidates do. Only one at a time may work on a project: it alone writes answers."""

    def __init__(self, root: Path, project: ProjectSettings, pool: FewShotPool, report: Report) -> None:
        self._root, self._project, self._pool, self._report = root, project, pool, report
        self._nearest: NearestExamples | None = None
        self.tokens = 0  # of prompts and answers generated here, those found on disk not counted
        self.models = LocalModels(root, report)
        self.indexes = Indexes(root, project, report)

    def identify(self, spec: CandidateSpec) -> Candidate:
        """The candidate that this specification means now; its index is brought up to date first."""
        retriever = self.indexes.get(spec.retrieval).identity() if spec.retrieval is not None else None
        return identify(
            spec,
            self._root,
            dtype=self.models.dtype(spec.model) if spec.endpoint is None else "",
            few_shot=self._pool.identity(spec.few_shot),
            retriever=retriever,
            endpoint=self._endpoint(spec),
        )

    def answer(
        self, spec: CandidateSpec, examples: Sequence[EvaluationExample], latency_examples: int = 0
    ) -> tuple[Candidate, dict[str, Answer]]:
        """The candidate and its answers by example id; those that are missing are generated and written.

        `latency_examples` of them are answered alone as well, to measure the time of one answer.
        """
        candidate = self.identify(spec)
        candidate.write(self._root)
        store = AnswerStore(self._root, candidate.id)
        if any(example.id not in store.answers for example in examples):
            self._report(Phase("evaluate", 0, len(examples), "answers"))
            self._generate(spec, examples, store, latency_examples)
        return candidate, {example.id: store.answers[example.id] for example in examples}

    def reference_losses(self, spec: CandidateSpec, examples: Sequence[EvaluationExample]) -> dict[str, float]:
        """Nats per token of each example's reference under a local candidate, by example id. Raises EngineError."""
        from rung.engine.ladder.reference_loss import reference_losses

        if spec.endpoint is not None:
            raise EngineError(f"The endpoint {spec.endpoint} gives no perplexity", hint="name another metric for it")
        self._report(Phase("evaluate", 0, len(examples), "references"))
        return reference_losses(self.models.open(spec), spec, self._material(spec, examples))

    def _material(self, spec: CandidateSpec, examples: Sequence[EvaluationExample]) -> list[Material]:
        shots, chunks = self._shots(spec, examples), self._chunks(spec, examples)
        return [
            Material(example, tuple(shown), *found)
            for example, shown, found in zip(examples, shots, chunks, strict=True)
        ]

    def _generate(
        self, spec: CandidateSpec, examples: Sequence[EvaluationExample], store: AnswerStore, latency_examples: int
    ) -> None:
        material = self._material(spec, examples)
        known = set(store.answers)
        if (endpoint := self._endpoint(spec)) is not None:
            answer_by_endpoint(endpoint, spec, material, store, self._report)
        else:
            LocalAnswers(self.models.open(spec), spec, self._report).run(material, store, latency_examples)
        fresh = [answer for name, answer in store.answers.items() if name not in known]
        self.tokens += sum((answer.tokens_in or 0) + (answer.tokens_out or 0) for answer in fresh)

    def _shots(self, spec: CandidateSpec, examples: Sequence[EvaluationExample]) -> list[list[EvaluationExample]]:
        settings = spec.few_shot
        if settings.k > len(self._pool.examples):
            raise EngineError(
                f"{settings.k} examples are wanted in the prompt, the training rows hold {len(self._pool.examples)}",
                hint="add training rows, or lower few_shot.k",
            )
        if settings.k == 0 or settings.selection == "fixed":
            return [self._pool.fixed(settings)] * len(examples)
        self._nearest = self._nearest or NearestExamples(self._pool)
        return self._nearest.choose([example.question for example in examples], settings.k)

    def _chunks(
        self, spec: CandidateSpec, examples: Sequence[EvaluationExample]
    ) -> list[tuple[list[Chunk] | None, float]]:
        """For each example its passages and the seconds that finding them took; None for a candidate without."""
        if spec.retrieval is None:
            return [(None, 0.0)] * len(examples)
        index = self.indexes.get(spec.retrieval)
        found: list[tuple[list[Chunk] | None, float]] = []
        for example in examples:
            started = time.perf_counter()
            depth = max(spec.retrieval.k, GOLD_DEPTH) if spec.gold_only else spec.retrieval.k
            chunks = [hit.chunk for hit in index.search(example.question, depth)]
            if spec.gold_only:
                gold = gold_question(example, self._project, self._root)
                chunks = [chunk for chunk in chunks if is_right(gold, chunk)][:1]
            found.append((chunks, time.perf_counter() - started))
        return found

    def _endpoint(self, spec: CandidateSpec) -> EndpointModel | None:
        if spec.endpoint is None:
            return None
        named = {endpoint.name: endpoint for endpoint in self._project.endpoints}
        if spec.endpoint not in named:
            raise EngineError(f"rung.yaml has no endpoint {spec.endpoint}", f"it has: {', '.join(named) or 'none'}")
        return named[spec.endpoint]
