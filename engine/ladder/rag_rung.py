"""The RAG rung: how to cut the documents and how much to show, chosen on the validation rows; and why answers fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.ladder.advice_facts import Reading
from engine.ladder.bench import Bench, Trial
from engine.ladder.events import Chosen
from engine.ladder.indexes import gold_question
from engine.ladder.spec import CandidateSpec, base_spec
from engine.project.schema import ProjectSettings
from engine.retrieval.quality import GoldQuestion, RetrievalQuality, Searchable, is_right, measure_retrieval

RIGHT = 0.5
"""A graded score from here on counts as a right answer, where answers are told apart by whether retrieval helped."""
ANSWER_SEARCH_DEPTH = 50
"""Chunks looked through for an answer's text when its own words are searched for."""


@dataclass(frozen=True)
class RagFindings:
    """How good a setting's retrieval is by itself, and what became of the questions."""

    quality: RetrievalQuality
    reading: Reading

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "hit_at_1": self.quality.hit_at_1,
            "hit_at_5": self.quality.hit_at_5,
            "mrr": self.quality.mrr,
            "questions": self.quality.n,
            "found": self.reading.found,
            "right_when_found": self.reading.right_when_found,
            "right_with_gold_alone": self.reading.right_with_gold_alone,
            "in_documents": self.reading.in_documents,
            "described": self.quality.describe(),
            "definitions": self.quality.definitions,
        }


def climb_rag(bench: Bench, prompt: CandidateSpec | None) -> Trial:
    """The best way of showing passages; `prompt` is the prompt rung's best, whose examples are tried beside them."""
    variants = _distinct(bench, rag_variants(bench.project, prompt))
    best = bench.choose(variants)
    if prompt is not None and prompt.few_shot.k:
        best = bench.choose([best.spec, best.spec.model_copy(update={"few_shot": prompt.few_shot})])
    bench.report(Chosen("rag", best.spec.label, best.candidate, f"best of {len(variants)} settings"))
    return best


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
        kept.setdefault((bench.answerer.indexes.chunks_hash(spec.retrieval), spec.retrieval.k), spec)
    return list(kept.values())


def diagnose(bench: Bench, best: Trial) -> RagFindings:
    """Retrieval by itself on the validation rows; and where the passage was found but the answer is wrong, the same
    question with the right passage alone, which tells distractors from a weak reader."""
    spec = best.spec
    assert spec.retrieval is not None
    index = bench.answerer.indexes.get(spec.retrieval)
    examples = {example.id: example for example in bench.validation}
    questions = [gold_question(example, bench.project, bench.root) for example in bench.validation]
    quality = measure_retrieval(index, questions)
    shown = {record.id for record in quality.records if record.rank is not None and record.rank <= spec.retrieval.k}
    right = {score.example for score in best.scores if _is_right(bench, score.score)}
    wrong = [examples[name] for name in sorted(shown - right)]
    mended = None
    if wrong:
        alone = bench.try_out(spec.model_copy(update={"gold_only": True}), wrong)
        mended = sum(_is_right(bench, score.score) for score in alone.scores)
    in_documents = count_in_documents(index, questions, quality)
    return RagFindings(quality, Reading(quality.n, len(shown), len(shown & right), mended, in_documents))


def count_in_documents(index: Searchable, questions: Sequence[GoldQuestion], quality: RetrievalQuality) -> int:
    """Questions whose right passage stands in the documents at all.

    A passage that the row names does; an answer's text is searched for by its own words. What is not there, retrieval
    can't be mended to find.
    """
    by_id = {question.id: question for question in questions}
    return sum(
        record.rank is not None or record.definition != "answer" or _holds(index, by_id[record.id])
        for record in quality.records
    )


def _holds(index: Searchable, question: GoldQuestion) -> bool:
    return any(
        is_right(question, hit.chunk) for text in question.answers for hit in index.search(text, ANSWER_SEARCH_DEPTH)
    )


def _is_right(bench: Bench, score: float | None) -> bool:
    if score is None:
        return False
    return score >= RIGHT if bench.metric.more_is_better else score <= RIGHT
