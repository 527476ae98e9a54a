"""What a number of held-out rows can show at best, said before anything is measured."""

from pathlib import Path

import pytest

from rung.engine.ladder.reach import fewest_groups, fewest_rows, highest_target, out_of_reach, reach_notes
from rung.engine.metrics.parse import parse_metric
from rung.engine.stats.intervals import estimate, wilson
from tests.helpers.ladder_project import make_project


@pytest.mark.parametrize(("target", "rows"), [(0.8, 16), (0.9, 35), (0.95, 73), (0.98, 189), (0.99, 381)])
def test_the_fewest_rows_on_which_a_perfect_score_clears_the_target(target: float, rows: int) -> None:
    assert fewest_rows(target) == rows
    assert wilson(rows, rows)[0] >= target > wilson(rows - 1, rows - 1)[0]
    metric = parse_metric("exact_match")
    assert out_of_reach(metric, target, rows) is None
    assert f"{rows - 1:,} held-out rows can't show a score of {target:g}" in str(out_of_reach(metric, target, rows - 1))
    assert f"{rows:,} rows could" in str(out_of_reach(metric, target, rows - 1))


@pytest.mark.parametrize("target", [0.7, 0.8, 0.9, 0.95])
def test_the_fewest_groups_too(target: float) -> None:
    fewest = fewest_groups(target)
    assert fewest is not None and fewest > (fewest_rows(target) or 0)
    for groups, reached in ((fewest, True), (fewest - 1, False)):
        owners = [str(number) for number in range(groups) for _ in range(5)]
        assert (estimate([1.0] * len(owners), groups=owners).claim_low >= target) is reached
    said = str(out_of_reach(parse_metric("exact_match"), target, 5 * (fewest - 1), fewest - 1))
    assert f"in {fewest - 1:,} groups can't show" in said and f"{fewest:,} groups could" in said


def test_what_has_no_perfect_score_is_left_alone() -> None:
    assert out_of_reach(parse_metric("reference_perplexity"), 3.0, 5) is None
    assert out_of_reach(parse_metric("exact_match"), None, 5) is None
    assert out_of_reach(parse_metric("exact_match"), 80.0, 5) is None  # outside the metric's bounds: said elsewhere


def test_a_target_of_one_can_never_be_shown() -> None:
    assert "no number of held-out rows" in str(out_of_reach(parse_metric("exact_match"), 1.0, 10_000))


def test_the_highest_target_that_so_many_rows_can_show() -> None:
    assert fewest_rows(highest_target(50)) == 50


def test_a_new_project_and_a_climb_say_it_before_anything_is_measured(tmp_path: Path) -> None:
    project = make_project(tmp_path, Path("pocket"), counts=(10, 5, 20), metrics=["exact_match"], target=0.9)
    assert reach_notes(tmp_path, project) == [
        "20 held-out rows can't show a score of 0.9, even if every answer is right; 35 rows could"
    ]
    assert reach_notes(tmp_path, project.model_copy(update={"target": 0.8})) == []
    open_one = reach_notes(tmp_path, project.model_copy(update={"target": None}))
    assert open_one == ["20 held-out rows can't show a target above 0.83, whatever the answers"]
