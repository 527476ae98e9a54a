"""Continued pretraining: nothing of a text is lost, documents are read, the perplexity falls, the curve survives."""

import math
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.running_text import load_running_text
from rung.engine.jobs.folder import new_run_folder
from tests.helpers.method_runs import curve, last_evaluation, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.tiny import make_byte_tokenizer, make_tiny_model

TEXT = "The tall ship left the grey harbour at dawn. " * 12


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def test_a_text_is_cut_into_near_equal_windows_that_hold_all_of_it(tmp_path: Path) -> None:
    tokenizer = make_byte_tokenizer()
    write_rows(tmp_path, [{"text": TEXT}, {"text": "short"}, {"text": ""}])
    data = load_running_text(tmp_path / "data" / "train.jsonl", tokenizer, max_length=100)
    lengths = [item.tokens for item in data.encoded]
    assert sum(lengths) == len(TEXT) + 1 + len("short") + 1
    assert max(lengths) <= 100
    assert max(lengths[:-1]) - min(lengths[:-1]) <= 1
    together = [token for item in data.encoded[:-1] for token in item.input_ids]
    assert tokenizer.decode(together) == TEXT + "<|im_end|>"
    assert all(item.labels == item.input_ids for item in data.encoded)
    report = data.report
    assert (report.rows, report.used, report.truncated) == (3, 2, 0)
    assert report.problems[0].line == 3
    assert "cut into" in report.notes[0]


def test_documents_are_read_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("# Ships\n\nA ship has a mast.\n")
    (folder / "deep" / "b.txt").write_text("A harbour has a wall.\n")
    (folder / "c.png").write_bytes(b"\x89PNG\x00\x00")
    data = load_running_text(folder, make_byte_tokenizer())
    assert data.report.shape == "documents"
    assert [item.source for item in data.encoded] == ["a.md", "deep/b.txt"]
    assert [problem.source for problem in data.report.problems] == ["c.png"]
    assert load_running_text(folder / "a.md", make_byte_tokenizer()).report.used == 1


def test_pairs_are_no_text(tmp_path: Path) -> None:
    write_rows(tmp_path, pair_rows(3))
    with pytest.raises(EngineError, match="wrong shape") as caught:
        load_running_text(tmp_path / "data" / "train.jsonl", make_byte_tokenizer())
    assert "needs text" in caught.value.details


def test_the_perplexity_falls_and_the_curve_survives_a_stop(model_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe("cpt", model_folder, data={"max_length": 64}, training={"num_train_epochs": 4})
    rows = [{"text": TEXT[number * 7 :]} for number in range(6)]
    whole = new_run_folder(write_rows(tmp_path / "whole", rows), "cpt")
    sit(recipe, whole)
    figures = last_evaluation(whole)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert values(whole, "evaluation/perplexity")[-1] < 0.9 * values(whole, "evaluation/perplexity")[0]

    broken = new_run_folder(write_rows(tmp_path / "broken", rows), "cpt")
    sit(recipe, broken, stop_at=7)
    sit(recipe, broken)
    assert curve(broken, "loss") == curve(whole, "loss")
