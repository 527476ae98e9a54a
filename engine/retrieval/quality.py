"""Retrieval measured by itself: is the right passage among the chunks, and how high?"""

import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from engine.retrieval.chunks import Chunk
from engine.retrieval.index import Hit

Definition = Literal["chunk", "source", "passage", "answer"]
DEFINITIONS: dict[Definition, str] = {
    "chunk": "a hit is a chunk whose id is given as gold",
    "source": "a hit is a chunk of the file, or the row, that is given as gold",
    "passage": "a hit is a chunk that shares at least half of the shorter text's runs of five words with the gold text",
    "answer": "a hit is a chunk that contains an accepted answer, in lower case, without punctuation and articles",
}
SHINGLE_WORDS = 5
MIN_SHARED = 0.5
ARTICLES = {"a", "an", "the"}
PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "“”‘’«»„–—…、。，！？", " "))
UNSPACED = re.compile("([\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff])")  # Thai, Lao, Japanese, Chinese: a sign is a word


@dataclass(frozen=True)
class GoldQuestion:
    """A question and what is known of its right passage; the first of chunks, sources, passages, answers counts."""

    id: str
    question: str
    chunks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def definition(self) -> Definition | None:
        """What a hit is for this question, or None where nothing is known of its right passage."""
        if self.chunks or self.sources or self.passages:
            return "chunk" if self.chunks else "source" if self.sources else "passage"
        return "answer" if any(normalized_words(answer) for answer in self.answers) else None


@dataclass(frozen=True)
class RetrievalRecord:
    """One question: the rank of the first right chunk (None: not among those looked at), and the chunks."""

    id: str
    definition: Definition
    rank: int | None
    chunk_ids: tuple[str, ...]


@dataclass(frozen=True)
class RetrievalQuality:
    """Shares over the `n` questions whose right passage is known; `unknown` is how many others there were.

    `hits_at` counts questions with a right chunk among the first 1, 3, 5 and `depth`, for intervals.
    `mrr` is the mean of 1/rank, 0 where there is none among the first `depth`. `definitions`: questions by definition.
    """

    n: int
    unknown: int
    depth: int
    hits_at: dict[int, int]
    mrr: float
    definitions: dict[Definition, int]
    records: list[RetrievalRecord]

    @property
    def hit_at_1(self) -> float:
        """Share of questions whose first chunk is right."""
        return self.hits_at[1] / self.n if self.n else 0.0

    @property
    def hit_at_5(self) -> float:
        """Share of questions with a right chunk among the first five."""
        return self.hits_at[5] / self.n if self.n else 0.0

    def describe(self) -> str:
        """The figures and what a hit was, in words."""
        if not self.n:
            return "Retrieval was not measured: no question has a gold passage or an answer text."
        what = "; ".join(f"{DEFINITIONS[name]} ({count} questions)" for name, count in self.definitions.items())
        return (
            f"hit@1 {self.hit_at_1:.3f}, hit@5 {self.hit_at_5:.3f}, MRR@{self.depth} {self.mrr:.3f} "
            f"over {self.n} questions; {what}"
        )


class Searchable(Protocol):
    """Anything that finds chunks for a question."""

    def search(self, query: str, k: int) -> list[Hit]:
        """The `k` best chunks, best first."""


def measure_retrieval(index: Searchable, questions: Iterable[GoldQuestion], depth: int = 10) -> RetrievalQuality:
    """Hit rates and mean reciprocal rank of `index` over the first `depth` (at least 5) chunks of each question."""
    depth = max(depth, 5)
    records: list[RetrievalRecord] = []
    unknown = 0
    for question in questions:
        definition = question.definition
        if definition is None:
            unknown += 1
            continue
        hits = index.search(question.question, depth)
        rank = next((hit.rank for hit in hits if is_right(question, hit.chunk)), None)
        records.append(RetrievalRecord(question.id, definition, rank, tuple(hit.chunk.id for hit in hits)))
    ranks = [record.rank for record in records if record.rank is not None]
    return RetrievalQuality(
        n=len(records),
        unknown=unknown,
        depth=depth,
        hits_at={k: sum(rank <= k for rank in ranks) for k in sorted({1, 3, 5, depth})},
        mrr=sum(1 / rank for rank in ranks) / len(records) if records else 0.0,
        definitions=dict(Counter(record.definition for record in records)),
        records=records,
    )


def is_right(question: GoldQuestion, chunk: Chunk) -> bool:
    """Whether the chunk is a right one for the question, by the question's definition (False where it has none)."""
    match question.definition:
        case "chunk":
            return chunk.id in question.chunks
        case "source":
            return any(chunk.source == gold or chunk.source.rsplit("#", 1)[0] == gold for gold in question.sources)
        case "passage":
            return any(_shares_passage(chunk.text, gold) for gold in question.passages)
        case "answer":
            text = f" {' '.join(normalized_words(chunk.text))} "
            answers = (" ".join(normalized_words(answer)) for answer in question.answers)
            return any(f" {answer} " in text for answer in answers if answer)
        case None:
            return False


def normalized_words(text: str) -> list[str]:
    """Words in lower case without punctuation and English articles (as SQuAD's evaluation compares answers)."""
    words = UNSPACED.sub(r" \1 ", text.lower().translate(PUNCTUATION)).split()
    return [word for word in words if word not in ARTICLES]


def _shares_passage(chunk: str, gold: str) -> bool:
    words = normalized_words(chunk), normalized_words(gold)
    size = min(SHINGLE_WORDS, *map(len, words))
    if size == 0:
        return False
    of_chunk, of_gold = (_shingles(side, size) for side in words)
    return len(of_chunk & of_gold) >= MIN_SHARED * min(len(of_chunk), len(of_gold))


def _shingles(words: list[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}
