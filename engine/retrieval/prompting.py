"""The passages' part of a prompt, within a budget, and the way back from an answer's [2] to the chunk."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.chunks import Chunk

DEFAULT_FRAME = """\
Answer the question from the passages. Name the passages that you used by their numbers, like [1].

{chunks}

Question: {question}"""
DEFAULT_CHUNK = "[{number}] {text}"
FRAME_FIELDS = ("chunks", "question")
CHUNK_FIELDS = ("number", "text", "title", "source")
CHUNK_GAP = "\n\n"
MIN_CUT_CHARACTERS = 40  # less of a passage than this says nothing
CITATION = re.compile(r"\[\s*(\d{1,4}(?:\s*(?:,|;|-|–|and|&)\s*\d{1,4})*)\s*\]")
MAX_RANGE = 50

Count = Callable[[str], int]


@dataclass(frozen=True)
class RagPrompt:
    """A prompt's text and the chunks in it, as they stand there: number n is `chunks[n - 1]`.

    `cut` says what did not fit, "" if all did.
    """

    text: str
    chunks: tuple[Chunk, ...]
    num_left_out: int = 0
    is_last_shortened: bool = False
    cut: str = ""


@dataclass(frozen=True)
class Citation:
    """A number in an answer at [start, end) of its text; `chunk` is None where the prompt had no such passage."""

    number: int
    chunk: Chunk | None
    start: int
    end: int


def build_prompt(
    question: str,
    chunks: Iterable[Chunk],
    *,
    frame: str = DEFAULT_FRAME,
    chunk_template: str = DEFAULT_CHUNK,
    budget: int | None = None,
    count: Count = len,
) -> RagPrompt:
    """The frame with numbered chunks, best first, that takes at most `budget` by `count` (characters, or a tokenizer's
    length). What does not fit is left out from the end; only a first chunk that does not fit alone is shortened.

    Raises EngineError for a frame without its placeholders, or when not even the question fits.
    """
    check_templates(frame, chunk_template)
    offered = tuple(chunks)
    pieces = [_fill(chunk_template, _chunk_values(number, chunk)) for number, chunk in enumerate(offered, start=1)]

    def text_of(kept: list[str]) -> str:
        return _fill(frame, {"chunks": CHUNK_GAP.join(kept), "question": question})

    def fits(kept: list[str]) -> bool:
        return budget is None or count(text_of(kept)) <= budget

    if not fits([]):
        raise EngineError(
            "The question and its frame alone are longer than the prompt may be",
            f"{count(text_of([]))} against {budget}",
            "Shorten the frame, or use a model with a longer context.",
        )
    num_kept = _most_that_fit(pieces, fits)
    kept = pieces[:num_kept]
    shortened = _shortened_first(offered, chunk_template, fits) if not kept and pieces else None
    shown = offered[:num_kept]
    if shortened is not None:
        shown = (replace(offered[0], text=shortened),)
        kept, num_kept = [_fill(chunk_template, _chunk_values(1, shown[0]))], 1
    return RagPrompt(
        text_of(kept),
        shown,
        len(offered) - num_kept,
        shortened is not None,
        _cut_in_words(len(offered), num_kept, shortened is not None),
    )


def check_templates(frame: str, chunk_template: str = DEFAULT_CHUNK) -> None:
    """Raise EngineError where a placeholder is missing: {chunks} and {question} in the frame, {text} in the chunk."""
    for name, template, wanted in (("frame", frame, FRAME_FIELDS), ("chunk template", chunk_template, ("text",))):
        missing = [f"{{{field}}}" for field in wanted if f"{{{field}}}" not in template]
        if missing:
            raise EngineError(
                f"The RAG {name} lacks {' and '.join(missing)}", hint=f"Put {' and '.join(missing)} where it belongs."
            )


def citations(answer: str, chunks: tuple[Chunk, ...]) -> list[Citation]:
    """The passages that an answer names ([2], [1, 3], [2-4]), in the order of the text; a number may come twice."""
    found: list[Citation] = []
    for match in CITATION.finditer(answer):
        for number in _numbers(match[1]):
            chunk = chunks[number - 1] if 1 <= number <= len(chunks) else None
            found.append(Citation(number, chunk, match.start(), match.end()))
    return found


def _fill(template: str, values: dict[str, str]) -> str:
    """Placeholders replaced in one pass: braces in a passage or a question are text."""
    names = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({names})\}}", lambda match: values[match[1]], template)


def _chunk_values(number: int, chunk: Chunk, text: str | None = None) -> dict[str, str]:
    body = chunk.text if text is None else text
    return {"number": str(number), "text": body, "title": chunk.title, "source": chunk.label}


def _most_that_fit(pieces: list[str], fits: Callable[[list[str]], bool]) -> int:
    # From all of them down: a prompt is counted as a whole, since tokens merge across the seams; usually all fit.
    return next((number for number in range(len(pieces), 0, -1) if fits(pieces[:number])), 0)


def _shortened_first(chunks: tuple[Chunk, ...], chunk_template: str, fits: Callable[[list[str]], bool]) -> str | None:
    """The first chunk's text with as many of its first words as fit, or None where too little would be left."""
    text = chunks[0].text
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        piece = _fill(chunk_template, _chunk_values(1, chunks[0], text[: ends[middle - 1]] + " …"))
        low, high = (middle, high) if fits([piece]) else (low, middle - 1)
    if low == 0 or ends[low - 1] < MIN_CUT_CHARACTERS:
        return None
    return text[: ends[low - 1]] + " …"


def _cut_in_words(offered: int, kept: int, is_shortened: bool) -> str:
    parts = []
    if kept < offered:
        parts.append(f"{offered - kept} of {offered} passages left out")
    if is_shortened:
        parts.append("the first passage shortened")
    return f"The prompt was too long: {', '.join(parts)}." if parts else ""


def _numbers(inside: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"\s*(?:,|;|and|&)\s*", inside):
        first, *rest = (int(number) for number in re.split(r"\s*[-–]\s*", part))
        last = rest[-1] if rest else first
        numbers += range(first, last + 1) if first <= last < first + MAX_RANGE else [first]
    return numbers
