"""Chunks: exact stretches of their documents, within their size, with whole code fences and stable ids."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rung.engine.retrieval.chunks import Chunk, chunk_documents
from rung.engine.retrieval.documents import Document
from rung.engine.retrieval.markdown_text import heading_sections


def markdown(text: str) -> Document:
    return Document("a.md", "a.md", text, "Guide", "markdown", sections=heading_sections(text))


def chunks_of(document: Document, chunk_size: int, overlap: int = 0) -> list[Chunk]:
    return list(chunk_documents([document], chunk_size=chunk_size, overlap=overlap))


words = st.text("abcdefghij äß字😀.\n", min_size=1, max_size=400)


@settings(max_examples=150, deadline=None)
@given(text=words, chunk_size=st.integers(50, 200), overlap=st.integers(0, 49))
def test_chunks_are_exact_stretches_within_their_size_and_lose_no_word(
    text: str, chunk_size: int, overlap: int
) -> None:
    for kind in ("text", "markdown", "code"):
        document = Document("a", "a", text, kind=kind)  # type: ignore[arg-type]
        chunks = chunks_of(document, chunk_size, overlap)
        assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
        assert all(0 < len(chunk.text) <= chunk_size and chunk.text.strip() == chunk.text for chunk in chunks)
        covered = {position for chunk in chunks for position in range(chunk.start, chunk.end)}
        assert all(position in covered or letter.isspace() for position, letter in enumerate(text))


code_lines = st.lists(st.text("xyz =+(){}#\t", min_size=1, max_size=30), min_size=1, max_size=8)
paragraphs = st.lists(st.text("abc defg hij. ", min_size=1, max_size=300), max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    before=paragraphs,
    code=code_lines,
    after=paragraphs,
    mark=st.sampled_from(["```", "~~~", "````"]),
    overlap=st.integers(0, 100),
)
def test_a_code_fence_that_fits_is_never_cut(
    before: list[str], code: list[str], after: list[str], mark: str, overlap: int
) -> None:
    fence = f"{mark}python\n" + "\n".join(code) + f"\n{mark}"
    text = "\n\n".join([*before, fence, *after])
    chunks = chunks_of(markdown(text), 300, overlap)
    assert any(fence in chunk.text for chunk in chunks)


def test_titles_say_where_a_chunk_stands() -> None:
    text = "# Guide\n\n" + "Intro. " * 20 + "\n\n## Install\n\n" + "Steps. " * 20 + "\n\n## Use\n\n" + "Run it. " * 20
    chunks = chunks_of(markdown(text), 170)
    assert [chunk.title for chunk in chunks] == ["Guide", "Guide › Install", "Guide › Use"]
    assert chunks[2].text.startswith("## Use")


def test_ids_are_of_content_so_other_edits_leave_them() -> None:
    first = "First paragraph of words. " * 5
    second = "Second paragraph of words. " * 5
    before = chunks_of(Document("a.txt", "a.txt", f"{first}\n\n{second}"), 140)
    after = chunks_of(Document("a.txt", "a.txt", f"New words in front. \n\n{first}\n\n{second}"), 140)
    assert before[1].id == after[-1].id
    assert before[1].start != after[-1].start
    assert chunks_of(Document("b.txt", "b.txt", f"{first}\n\n{second}"), 140)[1].id != before[1].id


def test_repeated_text_in_a_file_gets_ids_of_its_own() -> None:
    rows = [Document(f"a.csv#{line}", "a.csv", "The same words.") for line in (2, 3, 4)]
    ids = [chunk.id for chunk in chunk_documents(rows, chunk_size=100)]
    assert len(set(ids)) == 3
    assert ids == [chunk.id for chunk in chunk_documents(rows, chunk_size=100)]


def test_python_units_are_packed_under_the_scope_they_share() -> None:
    from rung.engine.retrieval.python_code import python_sections

    text = "class A:\n    def one(self): ...\n\n    def two(self): ...\n\n\ndef far(x):\n    return x\n"
    document = Document("m.py", "m.py", text, "m.py", "code", "python", python_sections(text) or ())
    assert [chunk.title for chunk in chunks_of(document, 70)] == ["m.py › A", "m.py › far"]
    assert [chunk.title for chunk in chunks_of(document, 500)] == ["m.py"]
