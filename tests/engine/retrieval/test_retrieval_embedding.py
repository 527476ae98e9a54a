"""Dense and hybrid search with a tiny model made on the spot (random weights: meaning is not tested, mechanics are)."""

import json
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.retrieval.build import build_index
from rung.engine.retrieval.embedding import EmbeddingModel
from rung.engine.retrieval.index import open_index
from rung.engine.retrieval.settings import RetrievalSettings
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("embedder"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("otter", "heron", "badger"):
        (folder / f"{name}.txt").write_text(f"The {name} lives by the river.")
    return folder


def settings_for(model: Path, **values: object) -> RetrievalSettings:
    return RetrievalSettings.model_validate({"kind": "hybrid", "embedding_model": str(model), "k": 3, **values})


def test_vectors_have_length_one_or_none_and_do_not_depend_on_the_batch(model_folder: Path) -> None:
    np = pytest.importorskip("numpy")
    model = EmbeddingModel(str(model_folder))
    texts = ["short", "a rather longer text than the others are", "middle one", ""]
    together = model.embed_documents(texts, batch_size=4)
    alone = np.concatenate([model.embed_documents([text]) for text in texts])
    assert together.shape == (4, model.dimension)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), [1, 1, 1, 0], atol=1e-5)


def test_pooling_and_prefixes_come_from_the_models_own_files(model_folder: Path, tmp_path: Path) -> None:
    import shutil

    np = pytest.importorskip("numpy")
    own = shutil.copytree(model_folder, tmp_path / "own")
    (own / "1_Pooling").mkdir()
    (own / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    (own / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    mean, last = EmbeddingModel(str(model_folder)), EmbeddingModel(str(own))
    assert (mean.pooling, last.pooling) == ("mean", "last")
    assert not np.allclose(mean.embed_documents(["otter"]), last.embed_documents(["otter"]), atol=1e-3)
    assert np.allclose(last.embed_queries(["otter"]), last.embed_documents(["query: otter"]), atol=1e-6)
    batch = last.embed_documents(["otter", "a longer text that pads the other one"])
    assert np.allclose(batch[:1], last.embed_documents(["otter"]), atol=1e-5)
    assert EmbeddingModel(str(own), query_prefix="").query_prefix == ""


def test_dense_search_finds_the_same_text_first(model_folder: Path, docs: Path, tmp_path: Path) -> None:
    settings = settings_for(model_folder, kind="dense")
    build_index(docs, tmp_path / "index", settings)
    index = open_index(tmp_path / "index", settings)
    # The title is embedded with the text, so this is the very text that was.
    hits = index.search("heron\nThe heron lives by the river.")
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].chunk.source == "heron.txt"
    assert hits[0].score == pytest.approx(1, abs=1e-4)
    assert index.identity()["query_prefix"] == ""


def test_hybrid_is_the_reciprocal_rank_fusion_of_both(model_folder: Path, docs: Path, tmp_path: Path) -> None:
    settings = settings_for(model_folder)
    build_index(docs, tmp_path / "index", settings)
    index = open_index(tmp_path / "index", settings)
    query = "otter by the river"
    expected: dict[str, float] = {}
    for kind in ("bm25", "dense"):
        for hit in index.search(query, 50, kind):  # type: ignore[arg-type]
            expected[hit.chunk.id] = expected.get(hit.chunk.id, 0) + 1 / (60 + hit.rank)
    found = {hit.chunk.id: hit.score for hit in index.search(query)}
    assert found == pytest.approx(expected)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_documents_are_embedded_again_only_when_they_change(
    model_folder: Path, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[int] = []
    inner = EmbeddingModel.embed_documents

    def counted(self: EmbeddingModel, texts: list[str]) -> object:
        embedded.append(len(texts))
        return inner(self, texts)

    monkeypatch.setattr(EmbeddingModel, "embed_documents", counted)
    settings = settings_for(model_folder)
    first = build_index(docs, tmp_path / "index", settings)
    (docs / "heron.txt").write_text("The heron flew away.")
    second = build_index(docs, tmp_path / "index", settings)
    assert embedded == [3, 1]
    assert second.content_hash != first.content_hash


def test_another_model_is_another_index(model_folder: Path, docs: Path, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=1)
    first = build_index(docs, tmp_path / "index", settings_for(model_folder))
    with pytest.raises(EngineError, match="other settings"):
        open_index(tmp_path / "index", settings_for(other))
    assert build_index(docs, tmp_path / "index", settings_for(other)).content_hash != first.content_hash


def test_models_that_cannot_be_used_say_why(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="can't be loaded"):
        EmbeddingModel(str(tmp_path))
    with pytest.raises(EngineError, match="nobody/no-such-model can't be brought"):
        EmbeddingModel("nobody/no-such-model")
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(EngineError, match="layers that are not supported"):
        EmbeddingModel(str(tmp_path))
