"""Which training examples stand in a prompt: always the same, or those most like the question.

Only training rows are ever shown. Nearness is the cosine between TF-IDF weights of character n-grams (scikit-learn),
which needs no download and no language.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.core.files import canonical_json, sha256_text
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.project.schema import FewShotSettings

NEAREST_METHOD = "tf-idf of characters, 2 to 4"
# A pool larger than this is sampled: its nearest neighbours hardly change, and its matrix would.
MOST_IN_POOL = 50_000


@dataclass(frozen=True)
class FewShotPool:
    """The training examples to choose from, each once."""

    examples: tuple[EvaluationExample, ...]
    label: str | None = None

    def identity(self, settings: FewShotSettings) -> dict[str, Any]:
        """What decides which examples a question gets."""
        if settings.k == 0:
            return {"k": 0}
        if settings.selection == "fixed":
            return {"k": settings.k, "examples": [example.id for example in self.fixed(settings)]}
        ids = sha256_text(canonical_json(sorted(example.id for example in self.examples)))
        return {"k": settings.k, "selection": "nearest", "pool": ids, "method": NEAREST_METHOD}

    def fixed(self, settings: FewShotSettings) -> list[EvaluationExample]:
        """The first k of a seeded order, so that fewer are always among more; labels take turns where there are any."""
        order = sorted(self.examples, key=lambda example: example.id)
        random.Random(settings.seed).shuffle(order)
        if self.label is not None:
            order = _in_turns(order, self.label)
        return order[: settings.k]


class NearestExamples:
    """The pool, ready to be searched. Imports scikit-learn: used only inside a worker."""

    def __init__(self, pool: FewShotPool) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._examples = pool.examples
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
        self._matrix = self._vectorizer.fit_transform([example.question for example in self._examples])

    def choose(self, questions: Sequence[str], k: int) -> list[list[EvaluationExample]]:
        """For each question the k nearest examples, the nearest last: beside the question. Ties go by id."""
        similarities = (self._vectorizer.transform(list(questions)) @ self._matrix.T).toarray()
        chosen = []
        for row in similarities:
            order = sorted(
                range(len(self._examples)), key=lambda at: (-round(float(row[at]), 6), self._examples[at].id)
            )
            chosen.append([self._examples[at] for at in reversed(order[:k])])
        return chosen


def make_pool(train: Sequence[EvaluationExample], label: str | None = None) -> FewShotPool:
    """The pool of a training split: rows that say the same once, a seeded sample of very many."""
    distinct = {example.id.partition("-")[0]: example for example in reversed(train)}
    kept = sorted(distinct.values(), key=lambda example: example.id)
    if len(kept) > MOST_IN_POOL:
        kept = random.Random(0).sample(kept, MOST_IN_POOL)
    return FewShotPool(tuple(kept), label)


def _in_turns(examples: Sequence[EvaluationExample], label: str) -> list[EvaluationExample]:
    """The examples with their labels taking turns, each label's in the order given."""
    by_label: dict[str, list[EvaluationExample]] = {}
    for example in examples:
        by_label.setdefault(str(example.fields.get(label)), []).append(example)
    queues = list(by_label.values())
    longest = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
