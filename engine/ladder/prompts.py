"""A candidate's prompt for an example: instructions, examples, passages and the question, as chat turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rung.engine.data.shapes import Message
from rung.engine.ladder.examples import EvaluationExample
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.prompting import build_prompt

Count = Callable[[str], int]


@dataclass(frozen=True)
class BuiltPrompt:
    """The turns, the passages that are in them, and what had to be left out (one sentence each)."""

    messages: list[Message]
    chunks: tuple[Chunk, ...] = ()
    cuts: tuple[str, ...] = ()


def build_messages(
    spec: CandidateSpec,
    example: EvaluationExample,
    shots: Sequence[EvaluationExample] = (),
    chunks: Sequence[Chunk] | None = None,
    count: Count = len,
    budget: int | None = None,
) -> BuiltPrompt:
    """The turns of one prompt. `chunks` None: a candidate without passages.

    `budget` is how much, by `count`, the turn with the passages may hold; passages that don't fit are left out, and
    that is said.
    """
    before = [*_system(spec, example), *(turn for shot in shots for turn in _turns(spec, shot))]
    earlier = [message for message in example.messages[:-1] if message.get("role") != "system"]
    if chunks is None:
        return BuiltPrompt([*before, *earlier, _asked(spec, example)])
    prompt = build_prompt(
        example.question,
        chunks,
        frame=spec.rag_prompt.frame,
        chunk_template=spec.rag_prompt.chunk,
        budget=budget,
        count=count,
    )
    last = {"role": "user", "content": prompt.text}
    return BuiltPrompt([*before, *earlier, last], prompt.chunks, (prompt.cut,) if prompt.cut else ())


def _system(spec: CandidateSpec, example: EvaluationExample) -> list[Message]:
    """The candidate's instructions, else those of the row itself."""
    if spec.system_prompt is not None:
        return [{"role": "system", "content": spec.system_prompt}] if spec.system_prompt else []
    return [message for message in example.messages[:1] if message.get("role") == "system"]


def _turns(spec: CandidateSpec, shot: EvaluationExample) -> list[Message]:
    return [_asked(spec, shot), {"role": "assistant", "content": shot.reference}]


def _asked(spec: CandidateSpec, example: EvaluationExample) -> Message:
    last = example.messages[-1]
    if spec.prompt_template is None:
        return last
    return {"role": "user", "content": spec.prompt_template.replace("{question}", example.question)}
