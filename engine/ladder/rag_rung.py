"""The RAG rung: how to cut the documents and how much to show, chosen on the validation rows; and why answers fail."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rung.engine.jobs.ladder_events import Chosen
from rung.engine.ladder.advice_facts import Reading
from rung.engine.ladder.answers import Answer
from rung.engine.ladder.bench import Bench, Trial
from rung.engine.ladder.indexes import gold_question
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.project.schema import ProjectSettings
from rung.engine.retrieval.quality import GoldQuestion, RetrievalQuality, Searchable, is_right, measure_retrieval

RIGHT = 0.5
"""A graded score from here on counts as a right answer, where answers are told apart by whether retrieval helped."""


@dataclass(frozen=True)
class RagFindings:
    """How good a setting's retrieval is by itself, and what became of the questions."""

    quality: RetrievalQuality
    reading: Reading

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        reading = self.reading
        return self.quality.to_json() | {
            "retrieved": reading.retrieved,
            "found": reading.found,
            "right_when_found": reading.right_when_found,
            "right_with_gold_alone": reading.right_with_gold_alone,
            "in_documents": reading.in_documents,
        }


def climb_rag(bench: Bench, prompt: CandidateSpec | None) -> Trial:
    """The best way of showing passages; `prompt` is the prompt rung's best, whose examples are tried beside them."""
    variants = _distinct(bench, rag_variants(bench.project, prompt))
    with_examples = prompt is not None and prompt.few_shot.k > 0
    best = bench.choose(variants, bench.answers_of(1) if with_examples else 0)
    if prompt is not None and with_examples:
        best = bench.choose([best.spec, best.spec.model_copy(update={"few_shot": prompt.few_shot})])
    why = "; ".join([f"best of {len(variants)} settings", *([best.note] if best.note else [])])
    bench.report(Chosen("rag", best.spec.label, best.candidate, why))
    return best


def rag_answers(bench: Bench, prompt: CandidateSpec | None) -> int:
    """How many answers on the validation rows this rung asks for at most."""
    with_examples = prompt is not None and prompt.few_shot.k > 0
    return bench.answers_of(len(rag_variants(bench.project, prompt))) + (bench.answers_of(1) if with_examples else 0)


def rag_variants(project: ProjectSettings, prompt: CandidateSpec | None) -> list[CandidateSpec]:
    """Every chunk size with every number of chunks, what rung.yaml declares itself among them; the shortest first."""
    assert project.documents is not None
    declared, trials = project.documents, project.retrieval_trials
    settings = [declared] + [
        declared.model_copy(update={"chunk_size": size, "k": k, "overlap": min(declared.overlap, size // 4)})
        for size in trials.chunk_sizes
        for k in trials.k
    ]
    base = base_spec(project) if prompt is None else prompt.model_copy(update={"few_shot": base_spec(project).few_shot})
    distinct = {(one.chunk_size, one.k): base.model_copy(update={"retrieval": one}) for one in reversed(settings)}
    return [distinct[key] for key in sorted(distinct, key=lambda key: key[0] * key[1])]


def _distinct(bench: Bench, variants: Sequence[CandidateSpec]) -> list[CandidateSpec]:
    """The variants without those that cut the documents just as an earlier one does (short ones are never cut)."""
    kept: dict[tuple[str, int], CandidateSpec] = {}
    for spec in variants:
        assert spec.retrieval is not None
        if kept and bench.share_is_spent():
            break  # To cut and index the documents once more takes time, too.
        kept.setdefault((bench.answerer.indexes.chunks_hash(spec.retrieval), spec.retrieval.k), spec)
    return list(kept.values())


def diagnose(bench: Bench, best: Trial) -> RagFindings:
    """Retrieval by itself on the validation rows; and where the passage was found but the answer is wrong, the same
    question with the right passage alone, which tells distractors from a weak reader."""
    spec = best.spec
    assert spec.retrieval is not None
    index = bench.answerer.indexes.get(spec.retrieval)
    # Where variants were given up early, the best one is scored on the first rows only.
    examples = {example.id: example for example in bench.validation if example.id in best.answers}
    questions = {name: gold_question(one, bench.project, bench.root) for name, one in examples.items()}
    quality = measure_retrieval(index, questions.values())
    k = spec.retrieval.k
    found = {one.id for one in quality.records if one.rank is not None and one.rank <= k}
    shown = {name for name in found if _held_right(index, questions[name], k, best.answers[name])}
    right = {score.example for score in best.scores if _is_right(bench, score.score)}
    wrong = [examples[name] for name in sorted(shown - right)]
    mended = None
    if wrong and not bench.share_is_spent():
        alone = bench.try_out(spec.model_copy(update={"gold_only": True}), wrong)
        mended = sum(_is_right(bench, score.score) for score in alone.scores)
    return RagFindings(quality, Reading(quality.n, len(shown), len(shown & right), mended, quality.n, len(found)))


def _held_right(index: Searchable, question: GoldQuestion, k: int, answer: Answer) -> bool:
    """Whether a right passage was in the prompt that was answered: as it was there, after what didn't fit was cut."""
    shown = {chunk["id"]: chunk["text"] for chunk in answer.chunks if chunk["text"]}
    hits = index.search(question.question, k)
    held = [replace(hit.chunk, text=shown[hit.chunk.id]) for hit in hits if hit.chunk.id in shown]
    return any(is_right(question, chunk) for chunk in held)


def _is_right(bench: Bench, score: float | None) -> bool:
    if score is None:
        return False
    return score >= RIGHT if bench.metric.more_is_better else score <= RIGHT
