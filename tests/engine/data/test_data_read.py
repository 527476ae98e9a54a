"""Rows out of every kind of file: each is used, or told with its line and the reason."""

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.read import read_rows

ROWS = [{"question": "1+1?", "answer": "2"}, {"question": "Größe?", "answer": "zwei\nZeilen"}]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def content(kind: str, tmp_path: Path) -> bytes:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    separator = "\t" if kind == ".tsv" else ","
    table = f'question{separator}answer\n1+1?{separator}2\nGröße?{separator}"zwei\nZeilen"\n'
    if kind == ".parquet":
        write_parquet(tmp_path / "source", ROWS)
        return (tmp_path / "source").read_bytes()
    return {".jsonl": "\n".join(lines) + "\n", ".json": f"[{','.join(lines)}]"}.get(kind, table).encode()


def packed(raw: bytes, packing: str) -> bytes:
    if packing == ".gz":
        return gzip.compress(raw)
    if packing == ".xz":
        return lzma.compress(raw)
    if packing == ".zst":
        import pyarrow

        return bytes(pyarrow.Codec("zstd").compress(raw, asbytes=True))
    return raw


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("packing", ["", ".gz", ".xz", ".zst"])
def test_every_format_gives_the_same_rows(kind: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{kind}{packing}"
    path.write_bytes(packed(content(kind, tmp_path), packing))
    rows, problems = read_rows(path)
    assert [row.fields for row in rows] == ROWS and problems == []
    assert [row.line for row in rows] == ([2, 3] if kind in (".csv", ".tsv") else [1, 2])
    assert {row.source for row in rows} == {str(path)}


def test_a_folder_gives_all_its_files_and_nothing_that_is_hidden_or_about_them(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("text\ntwo\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.JSONL").write_text('{"text": "one"}\n')
    for name in (".cache/x.jsonl", "dataset_info.json", "splits.json", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "no"}\n')
    rows, problems = read_rows(tmp_path)
    assert [row.fields["text"] for row in rows] == ["one", "two"] and problems == []


def test_lines_that_are_no_rows_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [b'{"text": "good"}', b"{broken", b'["a list"]', b"", b'{"text": "caf\xe9"}', b'{"text": "half \\ud83d"}']
    path.write_bytes(b"\n".join(lines))
    rows, problems = read_rows(path)
    assert [(row.line, row.fields["text"]) for row in rows] == [(1, "good")]
    assert [problem.line for problem in problems] == [2, 3, 5, 6]
    reasons = [problem.reason for problem in problems]
    assert reasons[0].startswith("not valid JSON") and reasons[1] == "a row is a JSON object, this is list"
    assert reasons[2] == "is not UTF-8 text (byte 0xE9): save the file as UTF-8"
    assert "half a character" in reasons[3] and problems[3].field == "text"


def test_a_table_keeps_line_numbers_long_cells_and_tells_rows_that_are_too_wide(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    long = "x" * 200_000
    path.write_text(f'text,label\n"two\nlines",a\n\n{long},b\nc,d,e\nf\n')
    rows, problems = read_rows(path)
    assert [(row.line, row.fields["label"]) for row in rows] == [(2, "a"), (5, "b"), (7, None)]
    assert rows[1].fields["text"] == long
    assert [(problem.line, problem.reason) for problem in problems] == [(6, "more cells than the header has columns")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "Größe"}\n'.encode(encoding))
    assert read_rows(path)[0][0].fields == {"text": "Größe"}


def test_json_of_other_forms(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"version": 1, "data": [{"text": "a"}, 7]}')
    rows, problems = read_rows(path)
    assert [row.fields for row in rows] == [{"text": "a"}] and problems[0].line == 2
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    assert [row.line for row in read_rows(path)[0]] == [1, 2]
    path.write_text("12")
    with pytest.raises(EngineError, match="no usable row") as caught:
        read_rows(path)
    assert "this is int" in caught.value.details


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("rows.jsonl.gz", b"no gzip", "can't be read"),
        ("rows.jsonl.gz", gzip.compress(b'{"text": "a"}' * 50, mtime=0)[:-12], "can't be read"),
        ("rows.jsonl.xz", b"no xz", "can't be read"),
        ("rows.jsonl.zst", b"no zst", "can't be read"),
        ("rows.parquet", b"no parquet", "not a readable Parquet file"),
        ("rows.json", b"[1,", "not valid JSON"),
        ("rows.json", b"[" * 100_000, "not usable JSON"),
        ("rows.jsonl", b" ", "no usable row"),
        ("rows.txt", b"text", "not a kind of data file"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(name: str, raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(EngineError, match=message) as caught:
        read_rows(path)
    assert name in str(caught.value)
