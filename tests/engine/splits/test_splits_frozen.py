"""The held-out rows stay the frozen ones, every look is counted, the final split is sealed."""

import json
import os
import threading
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json
from rung.engine.splits.make import (
    SplitPlan,
    count_look,
    freeze_files,
    is_frozen,
    looks_at_test,
    make_splits,
    open_final,
    read_splits,
    refreeze,
    verify_frozen,
)
from tests.engine.splits.test_splits import make_rows


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_splits(tmp_path, make_rows(100), SplitPlan(final_rows=10))
    return tmp_path


def change(file: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[1:]))


def test_unchanged_rows_pass_and_so_do_the_same_rows_written_otherwise(project: Path) -> None:
    test = project / "data" / "test.jsonl"
    verify_frozen(project, "data/test.jsonl")
    rows = [json.loads(line) for line in test.read_text().splitlines()]
    test.write_text("".join(json.dumps(dict(reversed(row.items())), indent=None) + "\n\n" for row in rows))
    assert verify_frozen(project).generation == 1


def test_training_rows_may_change(project: Path) -> None:
    change(project / "data" / "train.jsonl")
    assert verify_frozen(project).generation == 1


@pytest.mark.parametrize("name", ["test", "final"])
def test_changed_held_out_rows_are_refused(project: Path, name: str) -> None:
    change(project / "data" / f"{name}.jsonl")
    with pytest.raises(EngineError, match="have changed") as caught:
        verify_frozen(project)
    assert f"data/{name}.jsonl held" in caught.value.details
    (project / "data" / f"{name}.jsonl").unlink()
    with pytest.raises(EngineError, match="is gone"):
        verify_frozen(project)


def test_another_held_out_file_is_refused(project: Path) -> None:
    (project / "other.jsonl").write_bytes((project / "data" / "test.jsonl").read_bytes())
    with pytest.raises(EngineError, match=r"other\.jsonl is named now"):
        verify_frozen(project, "other.jsonl")
    assert refreeze(project, "other.jsonl") == 2
    verify_frozen(project, "other.jsonl")


def test_refreezing_starts_a_new_scoreboard(project: Path) -> None:
    count_look(project, "base")
    before = read_splits(project)
    change(project / "data" / "test.jsonl")
    assert refreeze(project, reason="a wrong row") == 2
    record = verify_frozen(project)
    assert record.generation == 2 and looks_at_test(project) == 0 and len(record.looks) == 1
    assert record.splits["test"].rows == before.splits["test"].rows - 1
    assert record.refrozen is not None and record.refrozen[0]["reason"] == "a wrong row"
    assert record.refrozen[0]["before"] == before.splits["test"].content
    assert count_look(project, "base") == 1


def test_looks_are_counted_once_a_candidate(project: Path) -> None:
    assert [count_look(project, name) for name in ("base", "rag", "base")] == [1, 2, 2]
    assert looks_at_test(project) == 2
    assert looks_at_test(project, "final") == 0
    looks = read_json(project / "data" / "splits.json")["looks"]
    assert [look["candidate"] for look in looks] == ["base", "rag"] and looks[0]["time"] > 1e9


def test_no_look_is_lost_when_several_count_at_once(project: Path) -> None:
    threads = [threading.Thread(target=count_look, args=(project, f"candidate-{i}")) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looks_at_test(project) == 12


def test_the_final_split_is_opened_once_and_noted(project: Path) -> None:
    assert read_splits(project).final_opened is None
    assert open_final(project) == project / "data" / "final.jsonl"
    opened = read_splits(project).final_opened
    assert opened is not None
    open_final(project)
    assert read_splits(project).final_opened == opened


def test_without_splits_or_with_a_damaged_record_it_says_so(tmp_path: Path) -> None:
    assert not is_frozen(tmp_path)
    for call in (verify_frozen, refreeze, open_final, looks_at_test):
        with pytest.raises(EngineError, match="not frozen"):
            call(tmp_path)
    with pytest.raises(EngineError, match="not frozen"):
        count_look(tmp_path, "base")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "splits.json").write_text('{"splits": 3}')
    with pytest.raises(EngineError, match="not a record of splits"):
        verify_frozen(tmp_path)


def test_a_project_without_a_final_split_says_so(tmp_path: Path) -> None:
    for name, rows in (("train", make_rows(40)), ("test", make_rows(20, 1))):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    freeze_files(tmp_path, {"train": "train.jsonl", "test": "test.jsonl"})
    with pytest.raises(EngineError, match="no sealed final split"):
        open_final(tmp_path)


def test_a_field_added_by_a_later_version_is_no_error(project: Path) -> None:
    path = project / "data" / "splits.json"
    path.write_text(json.dumps(read_json(path) | {"added_later": os.name}))
    assert verify_frozen(project).generation == 1
