"""A metric of the user's own: how it is found, called, and what is said when it fails."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.metrics import MetricSpec, aggregate, parse_metric, score_answer, score_example

OWN = """
from dataclasses import dataclass
import numpy as np

@dataclass
class Weights:
    length: float = 0.5

def by_length(answer, reference, row):
    return Weights().length * min(1, len(answer) / row["wanted"])

def two_arguments(answer, reference):
    return answer == reference

def numpy_bool(answer, reference):
    return np.float32(1) > np.float32(0)

def raises(answer, reference):
    return 1 / len(answer)

def not_a_number(answer, reference):
    return float("nan")

def a_text(answer, reference):
    return "good"

def nothing(answer, reference):
    pass

def no_arguments():
    return 1

ratio = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "own.py").write_text(OWN)
    return tmp_path


def own(project: Path, name: str) -> MetricSpec:
    return parse_metric(f"metrics/own.py:{name}", project)


def test_it_is_called_with_answer_reference_and_row(project: Path) -> None:
    assert score_answer(own(project, "by_length"), "abcd", "", {"wanted": 8}) == 0.25
    assert score_answer(own(project, "two_arguments"), "a", "a", {}) == 1.0
    assert score_answer(own(project, "numpy_bool"), "a", "a", {}) == 1.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "ZeroDivisionError"),
        ("raises", "return 1 / len(answer)"),
        ("raises", "own.py, line 19"),
        ("not_a_number", "it gave nan"),
        ("a_text", "it gave 'good', a str"),
        ("nothing", "it gave None"),
    ],
)
def test_a_failure_names_the_example(project: Path, name: str, said: str) -> None:
    with pytest.raises(EngineError) as caught:
        score_example(own(project, name), "row-17", "", "x", {})
    assert "example row-17" in caught.value.message
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "it has: by_length, two_arguments, numpy_bool"),
        ("ratio", "has no function ratio"),
        ("no_arguments", "it takes (answer, reference)"),
    ],
)
def test_what_cannot_be_called_is_refused_before_anything_is_scored(project: Path, name: str, said: str) -> None:
    with pytest.raises(EngineError) as caught:
        own(project, name)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def score(:", "line 1"),
        ("import no_such_package", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_file_that_does_not_load_is_refused(project: Path, source: str, said: str) -> None:
    (project / "metrics" / "own.py").write_text(source)
    with pytest.raises(EngineError, match="can't be loaded") as caught:
        own(project, "score")
    assert said in caught.value.details


def test_it_is_loaded_by_its_path_not_by_its_name(project: Path) -> None:
    """A file named like a package of ours, or of the library's, hides nothing and is hidden by nothing."""
    for name in ("engine.py", "json.py"):
        (project / name).write_text("def score(answer, reference):\n    return 0.125\n")
        assert score_answer(parse_metric(f"{name}:score", project), "a", "a") == 0.125
    import json

    import rung.engine

    assert json.loads("1") == 1 and rung.engine.__path__


def test_an_edited_function_is_loaded_anew_and_has_another_key(project: Path) -> None:
    spec = own(project, "two_arguments")
    key = spec.key
    (project / "metrics" / "own.py").write_text("def two_arguments(answer, reference):\n    return 0.75\n")
    assert spec.key != key
    assert score_answer(spec, "a", "a") == 0.75


def test_its_range_bounds_the_interval(project: Path) -> None:
    (project / "stars.py").write_text("def stars(answer, reference):\n    return float(answer)\n")
    bounded = parse_metric({"name": "function", "function": "stars.py:stars", "range": [1, 5]}, project)
    unbounded = parse_metric("stars.py:stars", project)
    answers = ["4", "5"] * 15
    wide = aggregate(bounded, [score_example(bounded, str(i), text, "") for i, text in enumerate(answers)])
    narrow = aggregate(unbounded, [score_example(unbounded, str(i), text, "") for i, text in enumerate(answers)])
    assert wide.score == narrow.score == 4.5
    assert 1 <= wide.low < narrow.low < narrow.high <= wide.high <= 5
    with pytest.raises(EngineError, match="can't be used"):
        parse_metric({"name": "function", "function": "stars.py:stars", "range": [5, 1]}, project)
