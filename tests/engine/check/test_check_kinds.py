"""`rung check` tells problems by kind: how many, the first few, and the worst first."""

import json
from pathlib import Path

import pytest

from rung.__main__ import main
from rung.engine.data.kinds_of_problems import by_kind
from rung.engine.splits.findings import KINDS
from rung.tui.data.lines import KIND_WORDS


def problem(line: int, field: str, reason: str) -> dict[str, object]:
    return {"line": line, "unit": "line", "field": field, "reason": reason, "source": "rows.jsonl"}


def test_problems_of_one_kind_are_one_entry_with_the_first_of_them() -> None:
    empty = [problem(line, "answer", "is empty") for line in range(2, 9)]
    turns = [problem(20 + at, f"messages[{at}].role", f"'who{at}' is not a known speaker") for at in range(9)]
    found = by_kind([*empty, *turns])
    assert [(kind["kind"], kind["count"]) for kind in found] == [
        ("messages….role: … is not a known speaker", 9),
        ("answer: is empty", 7),
    ]
    assert [example["line"] for example in found[1]["examples"]] == [2, 3, 4]
    assert all(kind["unused"] for kind in found)


def test_the_worst_comes_first() -> None:
    assert list(KINDS) == list(KIND_WORDS), "the screen goes through them in the same order"
    findings = [{"kind": kind, "line": 3, "reason": "so it is", "source": ""} for kind in KINDS]
    kinds = [kind["kind"] for kind in by_kind([problem(1, "answer", "is empty")], findings)]
    assert kinds[:3] == ["held out", "answer: is empty", "secret"] and kinds[-1] == "language"
    assert kinds.index("truncated") < kinds.index("near duplicate")


def test_the_command_prints_each_kind_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [
        {"question": f"What is number {at} called?", "answer": f"It is called {'abcde'[at]} here."} for at in range(5)
    ]
    lines = [*good, *({"question": f"And {at}?", "answer": ""} for at in range(40))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    assert main(["check", "rows.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "problem   answer: is empty: 40 rows" in said
    assert said.count("is empty") == 4, "the kind, and three rows"
    assert "rows.jsonl line 6" in said and "line 9" not in said
    assert main(["check", "rows.jsonl", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["problems"]) == 40, "all rows, as before"
    (kind,) = [kind for kind in report["kinds"] if kind["unused"]]
    assert (kind["kind"], kind["count"], len(kind["examples"])) == ("answer: is empty", 40, 3)
