"""Which metric fits, and what is said of one that tells nothing."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.metrics import parse_metric
from rung.engine.metrics.health import alike, ambiguous_references, differs_when_repeated, without_range
from rung.engine.metrics.recommend import recommended_metric
from rung.engine.metrics.scoring import ExampleScore

LONG = "this answer goes on for a good many words and says one thing after the other in free text, "


@pytest.mark.parametrize(
    ("references", "metric", "why"),
    [
        (["Paris", "the Nile", "Ada Lovelace", "42 BC"], "normalized_match", "words or fewer"),
        ([LONG, LONG + "a", LONG + "b"], "token_f1", "hardly ever word for word"),
        ([LONG * 6, LONG * 7, LONG * 5], "rouge_l", "long free text"),
        (["12", "3.5", "1/2", "50 %"], "numeric", "4 answers are numbers"),
        (["so it is #### 1,234", "then #### 7"], "numeric", "numbers"),
        (["1.234", "0.5", "12.25"], {"name": "numeric", "decimals": "point"}, "decimal point"),
        (["1.234", "0,5", "7"], {"name": "numeric", "decimals": "comma"}, "decimal comma"),
        (["1.234", "5"], "numeric", "numbers"),
        (['{"a": 1}', '{"a": 2}'], "json_fields", "JSON"),
        (["yes", "no"] * 10, {"name": "label_accuracy", "labels": ["no", "yes"]}, "2 labels"),
    ],
)
def test_the_metric_that_fits_the_answers(references: list[str], metric: Any, why: str) -> None:
    found = recommended_metric(references)
    assert found is not None and found[0] == metric and why in found[1]
    parse_metric(found[0])


def test_no_references_no_metric() -> None:
    assert recommended_metric(["", " "]) is None


def test_references_that_can_be_read_twice_are_told_by_line() -> None:
    rows: list[tuple[int, str, dict[str, object]]] = [(3, "1.234", {}), (4, "7.5", {}), (9, "2,125", {})]
    told = ambiguous_references(parse_metric("numeric"), rows)
    assert told is not None and "2 of 3 references" in told and "line 3: 1.234; line 9: 2,125" in told
    assert ambiguous_references(parse_metric({"name": "numeric", "decimals": "point"}), rows) is None
    assert ambiguous_references(parse_metric("exact_match"), rows) is None


def scores(*values: float) -> list[ExampleScore]:
    return [ExampleScore(str(number), "m", value) for number, value in enumerate(values)]


def test_a_metric_that_sees_no_difference_is_told() -> None:
    spec = parse_metric("json_valid")
    same, answers = {"a": scores(0, 0), "b": scores(0, 0)}, {"a": ["x", "y"], "b": ["x", "z"]}
    assert "scores all 2 candidates alike (0 for every answer)" in str(alike(spec, same, answers))
    assert alike(spec, same, {"a": ["x", "y"], "b": ["x", "y"]}) is None, "they do answer alike"
    assert alike(spec, {"a": scores(0, 1), "b": scores(0, 0)}, answers) is None
    assert alike(spec, {"a": scores(0, 0)}, {"a": ["x", "y"]}) is None


def test_a_function_of_ones_own_is_asked_for_a_range_and_asked_twice(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "import itertools\ncount = itertools.count()\n"
        "def steady(answer, reference):\n    return len(answer) / 10\n"
        "def moody(answer, reference):\n    return float(next(count))\n"
    )
    steady, moody = (parse_metric(f"my.py:{name}", tmp_path) for name in ("steady", "moody"))
    assert "has no range" in str(without_range(steady))
    ranged = parse_metric({"name": "function", "function": "my.py:steady", "range": [0, 1]}, tmp_path)
    assert without_range(ranged) is None and without_range(parse_metric("exact_match")) is None
    assert differs_when_repeated(steady, [("abc", "", {}, 0.3)]) is None
    assert "for the same answer" in str(differs_when_repeated(moody, [("abc", "", {}, 7.0)]))
