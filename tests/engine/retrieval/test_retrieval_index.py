"""The index: incremental, the same whatever its history, safe for any question, and good on real questions."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rung.engine.check.search import ask_documents
from rung.engine.core.errors import EngineError
from rung.engine.jobs.lock import try_lock
from rung.engine.retrieval.background import wait_for
from rung.engine.retrieval.build import build_index
from rung.engine.retrieval.index import SearchIndex, open_index
from rung.engine.retrieval.manifest import read_manifest
from rung.engine.retrieval.quality import GoldQuestion, measure_retrieval
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.retrieval.store import IndexStore
from tests.helpers.program import ROOT

SETTINGS = RetrievalSettings(chunk_size=200, k=3)
ANIMALS = ("zebra", "otter", "heron", "badger", "salmon", "beetle", "lizard", "walrus")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, animal in enumerate(ANIMALS):
        (folder / f"{animal}.txt").write_text(f"The {animal} lives by the river. It eats plant number {number}. " * 6)
    return folder


def rows(index_dir: Path, uri: str | None = None) -> list[tuple[str, str]]:
    table = wait_for(IndexStore(index_dir, uri).table._table.to_arrow())
    return sorted(zip(table["id"].to_pylist(), table["content"].to_pylist(), strict=True))


def ranking(
    index: SearchIndex, questions: tuple[str, ...] = (*ANIMALS, "river plant")
) -> list[list[tuple[str, float]]]:
    return [[(hit.chunk.id, round(hit.score, 4)) for hit in index.search(question, 10)] for question in questions]


def test_search_finds_chunks_with_rank_score_and_place(docs: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = build_index(docs, tmp_path / "index", SETTINGS, lambda done, total: told.append((done, total)))
    assert (report.num_files, len(report.added), report.reports) == (8, 8, [])
    size = sum(path.stat().st_size for path in docs.iterdir())
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    index = open_index(tmp_path / "index", SETTINGS)
    hits = index.search("Where do otters live?")
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].chunk.source == "otter.txt"
    assert hits[0].score >= hits[1].score > 0
    text = (docs / "otter.txt").read_text()
    assert hits[0].chunk.text == text[hits[0].chunk.start : hits[0].chunk.end]
    assert index.chunks([hits[1].chunk.id, "unknown"]) == {hits[1].chunk.id: hits[1].chunk}
    assert index.num_chunks == report.num_chunks == len(rows(tmp_path / "index"))


def test_only_what_changed_is_read_and_the_result_is_that_of_a_new_index(docs: Path, tmp_path: Path) -> None:
    first = build_index(docs, tmp_path / "index", SETTINGS)
    again = build_index(docs, tmp_path / "index", SETTINGS)
    assert (again.added, again.changed, again.removed, again.unchanged) == ([], [], [], 8)
    assert again.content_hash == first.content_hash
    (docs / "otter.txt").write_text("The otter moved to the sea. It is a sea otter now.")
    (docs / "zebra.txt").unlink()
    (docs / "new's.txt").write_text("The ibex lives on rocks.")
    report = build_index(docs, tmp_path / "index", SETTINGS)
    assert (report.added, report.changed, report.removed, report.unchanged) == (
        ["new's.txt"], ["otter.txt"], ["zebra.txt"], 6,
    )  # fmt: skip
    fresh = build_index(docs, tmp_path / "fresh", SETTINGS)
    assert report.content_hash == fresh.content_hash != first.content_hash
    assert rows(tmp_path / "index") == rows(tmp_path / "fresh")
    assert ranking(open_index(tmp_path / "index", SETTINGS)) == ranking(open_index(tmp_path / "fresh", SETTINGS))
    (docs / "new's.txt").unlink()
    assert build_index(docs, tmp_path / "index", SETTINGS).removed == ["new's.txt"]


def test_other_settings_make_a_new_index_and_are_refused_when_opened(docs: Path, tmp_path: Path) -> None:
    first = build_index(docs, tmp_path / "index", SETTINGS)
    longer = SETTINGS.model_copy(update={"chunk_size": 400})
    with pytest.raises(EngineError, match="other settings") as refused:
        open_index(tmp_path / "index", longer)
    assert refused.value.details == "chunk_size: built with 200, asked for 400"
    second = build_index(docs, tmp_path / "index", longer)
    assert len(second.added) == 8
    assert second.content_hash != first.content_hash
    assert second.num_chunks < first.num_chunks
    more = open_index(tmp_path / "index", longer.model_copy(update={"k": 5}))
    assert more.identity() == {"index": second.content_hash, "kind": "bm25", "k": 5}


def test_what_could_not_be_used_is_told_again_by_later_builds(docs: Path, tmp_path: Path) -> None:
    (docs / "rows.jsonl").write_text('{"text": "The ibex."}\n{broken\n')
    (docs / "bad.pdf").write_bytes(b"no pdf")
    for _ in range(2):
        report = build_index(docs, tmp_path / "index", SETTINGS)
        assert [(entry.path, entry.level, entry.line) for entry in report.reports] == [
            ("bad.pdf", "failed", None),
            ("rows.jsonl", "skipped", 2),
        ]
    assert report.num_files == 9


def test_a_file_that_breaks_loses_its_old_chunks(docs: Path, tmp_path: Path) -> None:
    (docs / "table.jsonl").write_text('{"text": "The ibex lives on rocks."}')
    build_index(docs, tmp_path / "index", SETTINGS)
    assert len(open_index(tmp_path / "index", SETTINGS).search("ibex rocks")) == 1
    (docs / "table.jsonl").write_text('{"number": 1}')
    report = build_index(docs, tmp_path / "index", SETTINGS)
    assert [str(entry) for entry in report.reports] == ["table.jsonl: no column with text; it has number"]
    assert open_index(tmp_path / "index", SETTINGS).search("ibex rocks") == []


def test_a_file_that_changes_while_it_is_read_is_taken_back(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rung.engine.retrieval.batch.CHUNKS_A_WRITE", 3)
    table = docs / "table.jsonl"
    lines = [json.dumps({"text": f"The ibex number {number} lives on rocks."}) for number in range(20)]
    table.write_text("\n".join(lines))

    def touch(done: int, total: int) -> None:
        table.write_text("\n".join(lines[:-1]))

    report = build_index(docs, tmp_path / "index", SETTINGS, touch)
    assert [str(entry) for entry in report.reports] == ["table.jsonl: it changed while it was read: build again"]
    assert len(rows(tmp_path / "index")) == report.num_chunks
    assert open_index(tmp_path / "index", SETTINGS).search("ibex rocks") == []
    report = build_index(docs, tmp_path / "index", SETTINGS)
    assert (report.added, report.reports) == (["table.jsonl"], [])
    build_index(docs, tmp_path / "fresh", SETTINGS)
    assert ranking(open_index(tmp_path / "index", SETTINGS)) == ranking(open_index(tmp_path / "fresh", SETTINGS))


def test_an_index_inside_the_documents_does_not_index_itself(docs: Path) -> None:
    build_index(docs, docs / "index", SETTINGS)
    report = build_index(docs, docs / "index", SETTINGS)
    assert (report.added, report.num_files) == ([], 8)


def test_nothing_to_search_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    report = build_index(tmp_path / "docs", tmp_path / "index", SETTINGS)
    assert report.num_chunks == 0
    assert open_index(tmp_path / "index", SETTINGS).search("otter") == []
    (tmp_path / "docs" / "a.txt").write_text("An otter.")
    build_index(tmp_path / "docs", tmp_path / "index", SETTINGS)
    assert len(open_index(tmp_path / "index", SETTINGS).search("otter")) == 1


def test_equal_scores_have_one_order_for_every_history_and_k(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(60):
        (docs / f"{number:02d}.jsonl").write_text(json.dumps({"text": f"otter {'abcdefghij'[number % 10]}{number}"}))
    build_index(docs, tmp_path / "once", SETTINGS)
    content = {path: path.read_text() for path in sorted(docs.iterdir(), reverse=True)}
    for path in content:
        path.unlink()
    for step, (path, text) in enumerate(content.items(), start=1):
        path.write_text(text)
        if step % 20 == 0:
            build_index(docs, tmp_path / "steps", SETTINGS)
    one, other = (open_index(tmp_path / name, SETTINGS) for name in ("once", "steps"))
    assert one.content_hash == other.content_hash
    all_hits = [hit.chunk.id for hit in one.search("otter", 60)]
    assert len(set(all_hits)) == 60
    for k in (1, 3, 17, 60):
        assert [hit.chunk.id for hit in other.search("otter", k)] == all_hits[:k]


def test_a_build_beside_another_is_refused(docs: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "index").mkdir()
    holder = (
        "import sys; from pathlib import Path; from rung.engine.jobs.lock import try_lock\n"
        f"held = try_lock(Path({str(tmp_path / 'index' / 'lock')!r})); print('held', flush=True); sys.stdin.read()"
    )
    root = ROOT
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(EngineError, match="Another process is building"):
            build_index(docs, tmp_path / "index", SETTINGS)
        other.communicate()
    build_index(docs, tmp_path / "index", SETTINGS)
    lock = try_lock(tmp_path / "index" / "lock")
    assert lock is not None
    lock.release()


def test_a_store_elsewhere_is_found_by_another_machine(docs: Path, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/store"
    remote = SETTINGS.model_copy(update={"uri": uri})
    build_index(docs, tmp_path / "here", remote)
    assert not list((tmp_path / "here").glob("*.lance"))
    (docs / "otter.txt").write_text("The otter moved to the sea.")
    report = build_index(docs, tmp_path / "there", remote)
    assert (report.changed, report.unchanged) == (["otter.txt"], 7)
    assert open_index(tmp_path / "nowhere", remote).search("sea", 1)[0].chunk.source == "otter.txt"


def test_no_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no index in"):
        open_index(tmp_path / "nowhere", SETTINGS)


def test_the_manifest_is_readable_without_lancedb(docs: Path, tmp_path: Path) -> None:
    report = build_index(docs, tmp_path / "index", SETTINGS)
    manifest = read_manifest(tmp_path / "index")
    assert manifest is not None
    assert (manifest.content_hash, manifest.num_chunks) == (report.content_hash, report.num_chunks)
    assert read_manifest(tmp_path) is None


def test_words_of_other_languages(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "de.txt").write_text("Die Häuser am Fluss sind alt.")
    (docs / "zh.txt").write_text("水泵的保修期为三十个月。")
    build_index(docs, tmp_path / "de", SETTINGS.model_copy(update={"language": "German"}))
    german = open_index(tmp_path / "de", SETTINGS.model_copy(update={"language": "German"}))
    assert [hit.chunk.source for hit in german.search("ein altes Haus")] == ["de.txt"]
    build_index(docs, tmp_path / "other", SETTINGS.model_copy(update={"language": "other"}))
    other = open_index(tmp_path / "other", SETTINGS.model_copy(update={"language": "other"}))
    assert [hit.chunk.source for hit in other.search("保修期多长？")] == ["zh.txt"]


@pytest.fixture(scope="module")
def small_index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    folder = tmp_path_factory.mktemp("small")
    (folder / "docs").mkdir()
    (folder / "docs" / "a.txt").write_text('The otter\'s river AND (the sea) OR "the lake" of São Paulo: path:to*file?')
    build_index(folder / "docs", folder / "index", SETTINGS)
    return open_index(folder / "index", SETTINGS)


SYNTAX = [
    "AND",
    "OR",
    "NOT",
    '"',
    "'",
    "(",
    ")",
    "*",
    "?",
    "~2",
    "^3",
    "path:",
    "\\",
    "/",
    "otter",
    "--",
    ";",
    "%",
    "\0",
]


@settings(max_examples=200, deadline=None)
@given(query=st.one_of(st.text(max_size=60), st.lists(st.sampled_from(SYNTAX), max_size=12).map(" ".join)))
def test_any_text_is_a_safe_query(small_index: SearchIndex, query: str) -> None:
    hits = small_index.search(query, 2)
    assert len(hits) <= 1
    if "otter" in query.split():
        assert len(hits) == 1


@pytest.mark.parametrize("query", ["", " \n", "\ud800 otter", "otter " * 50_000, "the of and", "🦦"], ids=range(6))
def test_odd_queries(small_index: SearchIndex, query: str) -> None:
    assert len(small_index.search(query)) == int("otter" in query)


def test_dense_search_in_an_index_of_words_is_refused(small_index: SearchIndex) -> None:
    with pytest.raises(EngineError, match="no vectors"):
        small_index.search("otter", 1, "dense")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"overlap": 800}, "overlap"),
        ({"kind": "dense"}, "embedding_model"),
        ({"chunk_sise": 300}, "chunk_sise"),
        ({"language": "Klingon"}, "language"),
        ({"k": 0}, "k"),
    ],
)
def test_settings_refuse_what_cannot_work(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        RetrievalSettings.model_validate(values)


def test_real_questions_find_their_passages(reference_data: Path, tmp_path: Path) -> None:
    paragraphs = [
        paragraph
        for article in json.loads((reference_data / "xquad-en" / "xquad.en.json").read_text())["data"]
        for paragraph in article["paragraphs"]
    ]
    lines = [json.dumps({"text": paragraph["context"]}) for paragraph in paragraphs]
    (tmp_path / "passages.jsonl").write_text("\n".join(lines))
    whole = RetrievalSettings(chunk_size=4000)  # one chunk a passage
    report = build_index(tmp_path / "passages.jsonl", tmp_path / "index", whole)
    questions = [
        GoldQuestion(row["id"], row["question"], sources=(f"passages.jsonl#{line}",))
        for line, paragraph in enumerate(paragraphs, start=1)
        for row in paragraph["qas"]
    ]
    quality = measure_retrieval(open_index(tmp_path / "index", whole), questions)
    assert (report.num_chunks, quality.n) == (240, 1190)
    assert quality.hit_at_1 >= 0.90
    assert quality.hit_at_5 >= 0.98


@pytest.mark.parametrize("said", ["", '{"type": "phase", "na'])
def test_a_search_that_breaks_off_says_so(said: str, tmp_path: Path) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\necho 'no memory' >&2\nexit 1\n")
    worker.chmod(0o755)
    with pytest.raises(EngineError, match="The search broke off") as caught:
        ask_documents(tmp_path, "Where?", python=str(worker))
    assert caught.value.details == "no memory\n"
