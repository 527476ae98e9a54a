"""What one prompt is made of."""

from dataclasses import dataclass

from rung.engine.ladder.examples import EvaluationExample
from rung.engine.retrieval.chunks import Chunk


@dataclass(frozen=True)
class Material:
    """An example with the training examples and passages for its prompt; `search_seconds` is what finding them took."""

    example: EvaluationExample
    shots: tuple[EvaluationExample, ...]
    chunks: list[Chunk] | None
    search_seconds: float
