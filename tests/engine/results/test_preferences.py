"""Preferences: the rows that DPO takes, ties beside them, and the win rate with its interval."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.data.columns import read_as
from rung.engine.data.preferences import pairs_from
from rung.engine.data.read import read_rows
from rung.engine.results.preferences import (
    Choice,
    Tally,
    save_preference,
    save_tie,
    save_training_row,
    tally,
    wilson_interval,
)

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Total?"}]


def choice(first: str = "412.50", second: str = "about 400", names: tuple[str, str] = ("base", "run-1")) -> Choice:
    return Choice(QUESTION, names, (first, second), blind=True, decoding={"temperature": 0.0, "seed": 0})


def test_a_pair_is_read_back_as_training_data(tmp_path: Path) -> None:
    save_preference(tmp_path, choice(), preferred=1)
    rows, problems = read_rows(tmp_path / "preferences.jsonl")
    assert not problems
    assert read_as(rows).shape == "preference"
    (pair,), problems = pairs_from(rows)
    assert not problems
    assert pair.prompt == QUESTION
    assert (pair.chosen["content"], pair.rejected["content"]) == ("about 400", "412.50")


def test_a_pair_remembers_who_said_it_and_how(tmp_path: Path) -> None:
    row = save_preference(tmp_path, choice(), preferred=0)
    assert row["candidates"] == {"chosen": "base", "rejected": "run-1"}
    assert row["blind"] is True and row["decoding"]["seed"] == 0 and row["time"] > 0


def test_equal_answers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Both answers are the same"):
        save_preference(tmp_path, choice("yes", "yes"), preferred=0)
    assert not (tmp_path / "preferences.jsonl").exists()


def test_the_tally_counts_both_orders_and_nobody_else(tmp_path: Path) -> None:
    save_preference(tmp_path, choice(names=("base", "run-1")), preferred=1)
    save_preference(tmp_path, choice(names=("run-1", "base")), preferred=0)
    save_preference(tmp_path, choice(names=("run-1", "base")), preferred=1)
    save_preference(tmp_path, choice(names=("base", "run-2")), preferred=1)
    save_tie(tmp_path, choice(names=("run-1", "base")))
    assert tally(tmp_path, "base", "run-1") == Tally("base", "run-1", a_wins=1, b_wins=2, same=1)
    assert tally(tmp_path, "base", "run-2").win_rate == 1.0
    assert tally(tmp_path, "base", "run-3") == Tally("base", "run-3", 0, 0, 0)
    assert tally(tmp_path, "base", "run-3").interval is None


def test_the_win_rate_leaves_ties_out() -> None:
    counted = Tally("base", "run", a_wins=3, b_wins=14, same=5)
    assert counted.win_rate == pytest.approx(14 / 17)
    assert counted.interval == pytest.approx((0.5897, 0.9381), abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    expected_low, expected_high = proportion_confint(successes, trials, method="wilson")
    assert low == pytest.approx(expected_low, abs=1e-9)
    assert high == pytest.approx(expected_high, abs=1e-9)
    assert 0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1


def test_an_answer_is_saved_as_a_conversation(tmp_path: Path) -> None:
    path = save_training_row(tmp_path, QUESTION, "412.50")
    save_training_row(tmp_path, QUESTION[1:], "413")
    rows = read_json_lines(path)
    assert path == tmp_path / "data" / "train-additions.jsonl"
    assert rows[0]["messages"] == [*QUESTION, {"role": "assistant", "content": "412.50"}]
    assert read_as(read_rows(path)[0]).shape == "messages"


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "preferences.jsonl").mkdir()
    with pytest.raises(EngineError, match="can't be written"):
        save_preference(tmp_path, choice(), preferred=0)
