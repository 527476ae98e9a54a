"""Retrieval measured by itself: is the right passage among the chunks, and how high?"""

import re
import string
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Protocol

from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.index import Hit
from rung.engine.stats.intervals import wilson

Definition = Literal["chunk", "source", "passage", "answer"]
DEFINITIONS: dict[Definition, str] = {
    "chunk": "a hit is a chunk whose id is given as gold",
    "source": "a hit is a chunk of the file, or the row, that is given as gold",
    "passage": "a hit is a chunk that shares at least half of the shorter text's runs of five words with the gold text",
    "answer": "a hit is a chunk that contains an accepted answer, in lower case, without punctuation and articles",
}
NAME_GOLD = "name the column with the right passage or its document: data.gold in rung.yaml, or rung new --gold"
HITS_AT = (1, 3, 5, 10)
# Chunks looked through for a text when its own words are searched for.
_SEARCH_DEPTH = 50
# An answer that stands in more chunks than this (yes, red, 3) doesn't tell which of them is the right one.
_MOST_HOLDERS = 3
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
    """Shares over the `n` questions of which a hit can be told; `unknown` is how many others there were.

    `hits_at` counts questions with a right chunk among the first 1, 3, 5 and `depth`, for intervals.
    `mrr` is the mean of 1/rank, 0 where there is none among the first `depth`. `definitions`: questions by definition.
    `seconds` is the median time of one search.
    """

    n: int
    unknown: int
    depth: int
    hits_at: dict[int, int]
    mrr: float
    definitions: dict[Definition, int]
    records: list[RetrievalRecord]
    seconds: float | None = None

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
            return f"Retrieval was not measured: {self.explained}" if self.unknown else "Retrieval was not measured"
        figures = f"hit@1 {self.hit_at_1:.3f}, hit@5 {self.hit_at_5:.3f}, MRR@{self.depth} {self.mrr:.3f}"
        return f"{figures} over {self.n} questions; {self.explained}"

    @property
    def explained(self) -> str:
        """What a hit was, and of how many questions it can't be told."""
        said = [f"{DEFINITIONS[name]} ({count} questions)" for name, count in self.definitions.items()]
        if self.unknown:
            whole = self.n + self.unknown
            said.append(f"for {self.unknown} of {whole} questions a hit can't be told; {NAME_GOLD}")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "questions": self.n,
            "unknown": self.unknown,
            "hit_at": {str(k): count / self.n if self.n else None for k, count in self.hits_at.items()},
            "intervals": {str(k): list(wilson(count, self.n)) for k, count in self.hits_at.items()} if self.n else {},
            "hits": {str(k): count for k, count in self.hits_at.items()},
            "mrr": self.mrr if self.n else None,
            "depth": self.depth,
            "definitions": self.definitions,
            "seconds_per_question": self.seconds,
            "described": self.describe(),
            "explained": self.explained,
        }


class Searchable(Protocol):
    """Anything that finds chunks for a question."""

    def search(self, query: str, k: int) -> list[Hit]:
        """The `k` best chunks, best first."""


def measure_retrieval(index: Searchable, questions: Iterable[GoldQuestion], depth: int = 10) -> RetrievalQuality:
    """Hit rates and mean reciprocal rank of `index` over the first `depth` (at least 5) chunks of each question.

    Questions of which a hit can't be told are counted as unknown, and nothing else.
    """
    depth = max(depth, 5)
    records: list[RetrievalRecord] = []
    seconds: list[float] = []
    unknown = 0
    for question in questions:
        definition = question.definition
        if definition is None or not can_tell(index, question):
            unknown += 1
            continue
        started = time.perf_counter()
        hits = index.search(question.question, depth)
        seconds.append(time.perf_counter() - started)
        rank = next((hit.rank for hit in hits if is_right(question, hit.chunk)), None)
        records.append(RetrievalRecord(question.id, definition, rank, tuple(hit.chunk.id for hit in hits)))
    ranks = [record.rank for record in records if record.rank is not None]
    return RetrievalQuality(
        n=len(records),
        unknown=unknown,
        depth=depth,
        hits_at={k: sum(rank <= k for rank in ranks) for k in sorted({*HITS_AT, depth}) if k <= depth},
        mrr=sum(1 / rank for rank in ranks) / len(records) if records else 0.0,
        definitions=dict(Counter(record.definition for record in records)),
        records=records,
        seconds=median(seconds) if seconds else None,
    )


def can_tell(index: Searchable, question: GoldQuestion) -> bool:
    """Whether a hit can be told from a miss: the right passage must stand in the documents, or no search finds it.

    A document that is named does. A passage's text, and an answer's, are searched for by their own words; an answer
    that stands in many chunks doesn't say which of them is the right one, and a long one of a person's own words
    stands in none.
    """
    match question.definition:
        case "chunk" | "source":
            return True
        case "passage":
            return any(_holders(index, question, text) for text in question.passages)
        case "answer":
            return any(0 < _holders(index, question, text) <= _MOST_HOLDERS for text in question.answers)
        case None:
            return False


def _holders(index: Searchable, question: GoldQuestion, text: str) -> int:
    return sum(is_right(question, hit.chunk) for hit in index.search(text, _SEARCH_DEPTH))


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
