"""The prompt block: numbering, a budget that holds, and citations back to their chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.prompting import build_prompt, citations

CHUNKS = tuple(
    Chunk(
        f"id{number}", f"{number}.pdf", 0, 0, f"Passage {number}: " + "word " * 20 + "end.", f"Title {number}", number
    )
    for number in range(1, 5)
)
FRAME = "Read.\n{chunks}\nQ: {question}"


def test_chunks_are_numbered_in_the_frame() -> None:
    prompt = build_prompt("Why?", CHUNKS[:2], frame=FRAME)
    assert prompt.text == f"Read.\n[1] {CHUNKS[0].text}\n\n[2] {CHUNKS[1].text}\nQ: Why?"
    assert (prompt.chunks, prompt.cut, prompt.num_left_out) == (CHUNKS[:2], "", 0)


def test_the_default_frame_asks_for_numbers() -> None:
    assert "like [1]" in build_prompt("Why?", CHUNKS[:1]).text


def test_a_chunk_template_may_name_title_and_source() -> None:
    prompt = build_prompt("Why?", CHUNKS[:1], frame=FRAME, chunk_template="({number}, {title}, {source}) {text}")
    assert "(1, Title 1, 1.pdf, page 1) Passage 1" in prompt.text


def test_braces_in_passages_and_questions_are_text() -> None:
    chunk = Chunk("a", "a", 0, 0, "Use {question} and {chunks} and {0} and {.")
    prompt = build_prompt("What is {chunks}?", [chunk], frame=FRAME)
    assert prompt.text == "Read.\n[1] Use {question} and {chunks} and {0} and {.\nQ: What is {chunks}?"


@given(budget=st.integers(18, 600))
def test_the_budget_holds_and_what_was_cut_is_said(budget: int) -> None:
    prompt = build_prompt("Why?", CHUNKS, frame=FRAME, budget=budget)
    assert len(prompt.text) <= budget
    assert prompt.num_left_out == len(CHUNKS) - len(prompt.chunks)
    assert bool(prompt.cut) == (prompt.num_left_out > 0 or prompt.is_last_shortened)
    more = build_prompt("Why?", CHUNKS[: len(prompt.chunks) + 1], frame=FRAME)
    assert prompt.num_left_out == 0 or len(more.text) > budget


def test_a_budget_counts_as_the_caller_counts() -> None:
    prompt = build_prompt("Why?", CHUNKS, frame=FRAME, budget=60, count=lambda text: len(text.split()))
    assert len(prompt.chunks) == 2
    assert prompt.cut == "The prompt was too long: 2 of 4 passages left out."


def test_a_first_passage_that_does_not_fit_is_shortened_at_a_word() -> None:
    prompt = build_prompt("Why?", CHUNKS[:1], frame=FRAME, budget=100)
    assert "word …\nQ: Why?" in prompt.text
    assert (len(prompt.chunks), prompt.is_last_shortened) == (1, True)
    assert prompt.cut == "The prompt was too long: the first passage shortened."


def test_a_question_longer_than_the_budget_is_an_error() -> None:
    with pytest.raises(EngineError, match="longer than the prompt may be"):
        build_prompt("Why? " * 100, CHUNKS, frame=FRAME, budget=50)


@pytest.mark.parametrize(("frame", "template"), [("{chunks}", "{text}"), ("{question}", "{text}"), (FRAME, "{number}")])
def test_templates_without_their_placeholders_are_refused(frame: str, template: str) -> None:
    with pytest.raises(EngineError, match="lacks"):
        build_prompt("Why?", CHUNKS, frame=frame, chunk_template=template)


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("It is so [2].", [2]),
        ("So [1][3], and [ 4 ].", [1, 3, 4]),
        ("Both [1, 3] and [2-4] and [1; 2] and [1 and 2].", [1, 3, 2, 3, 4, 1, 2, 1, 2]),
        ("Nothing [a] [] (1) [1.5] here.", []),
        ("[1-99999] [12345] [3-1]", [3]),
    ],
)
def test_citations_are_numbers_in_brackets(answer: str, numbers: list[int]) -> None:
    assert [citation.number for citation in citations(answer, CHUNKS)] == numbers


def test_citations_lead_back_to_chunks_and_unknown_numbers_to_none() -> None:
    first, second = citations("A [2] and [7].", CHUNKS)
    assert (first.chunk, second.chunk) == (CHUNKS[1], None)
    assert "A [2] and [7]."[first.start : first.end] == "[2]"
