"""A build killed at any step leaves a state that the next build repairs, chunk for chunk and score for score."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.background import wait_for
from rung.engine.retrieval.build import build_index
from rung.engine.retrieval.index import SearchIndex, open_index
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.retrieval.store import IndexStore
from tests.helpers.program import ROOT

SETTINGS = RetrievalSettings(chunk_size=100, k=3)
# Everything that changes the disk counts as a step before and after; at the given step the process kills itself.
KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
from rung.engine.retrieval import batch, build, chunk_table, store
from rung.engine.retrieval.settings import RetrievalSettings

last_step, steps = int(sys.argv[3]), 0

def step():
    global steps
    steps += 1
    if steps == last_step:
        os.kill(os.getpid(), signal.SIGKILL)

def stepped(owner, name):
    inner = getattr(owner, name)
    def outer(*arguments, **named):
        step()
        result = inner(*arguments, **named)
        step()
        return result
    setattr(owner, name, outer)

batch.CHUNKS_A_WRITE = 7
for name in ("create", "add", "delete_paths", "finish"):
    stepped(chunk_table.ChunkTable, name)
stepped(store, "write_manifest")
build.build_index(Path(sys.argv[1]), Path(sys.argv[2]), RetrievalSettings(chunk_size=100, k=3))
print(steps)
"""


def build_until(step: int, docs: Path, index_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED_BUILD, str(docs), str(index_dir), str(step)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def write_docs(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(6):
        (folder / f"{number}.txt").write_text(
            f"Animal number{number} lives by the river and eats plants. " * (3 + number)
        )


def change_docs(folder: Path) -> None:
    (folder / "1.txt").write_text("Animal number1 has moved to the sea. " * 9)
    (folder / "2.txt").unlink()
    (folder / "9.txt").write_text("Animal number9 is new here. " * 12)


def content(index_dir: Path) -> list[tuple[str, str]]:
    table = wait_for(IndexStore(index_dir, None).table._table.to_arrow())
    return sorted(zip(table["path"].to_pylist(), table["content"].to_pylist(), strict=True))


def ranking(index: SearchIndex) -> list[tuple[str, float]]:
    questions = ("number1 sea", "number5 river", "animal number9")
    return [(hit.chunk.id, round(hit.score, 4)) for question in questions for hit in index.search(question, 5)]


def check_repair(step: int, tmp_path: Path, from_scratch: bool) -> None:
    docs, index_dir = tmp_path / "docs", tmp_path / "index"
    write_docs(docs)
    if not from_scratch:
        build_index(docs, index_dir, SETTINGS)
        change_docs(docs)
    killed = build_until(step, docs, index_dir)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    try:
        open_index(index_dir, SETTINGS)
    except EngineError as error:
        assert "interrupted" in error.message or "no index" in error.message
    repaired = build_index(docs, index_dir, SETTINGS)
    fresh = build_index(docs, tmp_path / "fresh", SETTINGS)
    assert repaired.content_hash == fresh.content_hash
    assert content(index_dir) == content(tmp_path / "fresh")
    assert ranking(open_index(index_dir, SETTINGS)) == ranking(open_index(tmp_path / "fresh", SETTINGS))


@pytest.mark.parametrize("step", [3, 12])
def test_a_first_build_that_is_killed_is_repaired(step: int, tmp_path: Path) -> None:
    check_repair(step, tmp_path, from_scratch=True)


@pytest.mark.parametrize("step", [4, 9])
def test_an_update_that_is_killed_is_repaired(step: int, tmp_path: Path) -> None:
    check_repair(step, tmp_path, from_scratch=False)


@pytest.mark.slow
@pytest.mark.parametrize("from_scratch", [True, False])
def test_every_step_can_be_the_last(from_scratch: bool, tmp_path: Path) -> None:
    docs = tmp_path / "all" / "docs"
    docs.parent.mkdir()
    write_docs(docs)
    if not from_scratch:
        build_index(docs, tmp_path / "all" / "index", SETTINGS)
        change_docs(docs)
    steps = int(build_until(0, docs, tmp_path / "all" / "index").stdout)
    assert steps >= 10
    for step in range(1, steps + 1):
        folder = tmp_path / str(step)
        folder.mkdir()
        check_repair(step, folder, from_scratch)
