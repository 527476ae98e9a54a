"""What a run forgot, as plain values and in words: from new results, old ones and rows of the scoreboard."""

import math
from typing import Any

import pytest

from rung.engine.training.probe.forgot import forgot, forgot_words, is_at_chance

GROWTH = math.log(1.438)
RESULT: dict[str, Any] = {
    "forgetting": {
        "loss": GROWTH, "perplexity": 12.1 * 0.438, "kl": 0.2, "option_accuracy": -0.09, "letter_accuracy": -0.015,
    },
    "forgetting_intervals": {
        "loss": [math.log(1.39), math.log(1.49)], "option_accuracy": [-0.13, -0.05], "letter_accuracy": [-0.07, 0.04],
    },
    "forgetting_before": {
        "perplexity": 12.1, "loss": math.log(12.1), "n": 24.0, "questions": 200.0, "chance": 0.25,
        "option_accuracy": 0.955, "letter_accuracy": 0.265,
    },
    "forgetting_of": "general",
}  # fmt: skip


def test_it_says_of_what_from_what_to_what_with_the_interval() -> None:
    assert forgot_words(RESULT) == (
        "perplexity of general text 12.1 → 17.4 (+43.8 % [+39, +49]); quiz .955 → .865 [-.13, -.05]"
    )
    short = forgot_words(RESULT, short=True)
    assert short == "general text +43.8 % [+39, +49], quiz -.09" and len(short) <= 44
    row = {"forgetting": 0.438, "forgot": forgot(RESULT)}
    assert forgot_words(row) == forgot_words(RESULT) == forgot_words(forgot(RESULT))


def test_a_quiz_at_chance_is_said_to_be() -> None:
    known = forgot(RESULT)
    assert known is not None
    assert (known["letters"]["from_at_chance"], known["letters"]["to_at_chance"]) == (True, True)
    assert (known["quiz"]["from_at_chance"], known["quiz"]["to_at_chance"]) == (False, False)
    before = RESULT["forgetting_before"]
    fallen = RESULT | {"forgetting_before": before | {"option_accuracy": 0.36}}
    assert "quiz .360 → .270 [-.13, -.05] (down to chance, .250)" in str(forgot_words(fallen))
    blind = RESULT | {"forgetting_before": before | {"option_accuracy": 0.3}}
    assert "(at chance, .250)" in str(forgot_words(blind)) and "quiz" not in str(forgot_words(blind, short=True))
    learned = blind | {"forgetting": {"loss": GROWTH, "option_accuracy": 0.4}}
    assert "(at chance before, .250)" in str(forgot_words(learned))
    assert is_at_chance(0.265, 200, 0.25) and not is_at_chance(0.955, 200, 0.25) and not is_at_chance(0.1, 200, 0.25)


def test_growth_that_may_be_chance_is_said_to_be() -> None:
    small = RESULT | {"forgetting": {"loss": 0.01}, "forgetting_intervals": {"loss": [-0.01, 0.03]}}
    assert forgot_words(small) == ("perplexity of general text 12.1 → 12.2 (+1.0 % [-1.0, +3.0], which may be chance)")


def test_older_runs_and_boards_say_what_they_know() -> None:
    """A run of an older version wrote changes alone: both perplexities follow from them. A board wrote the growth."""
    older = {key: RESULT[key] for key in ("forgetting", "forgetting_intervals")}
    older["forgetting"] = {"loss": GROWTH, "perplexity": 12.1 * 0.438, "accuracy": -0.015}
    assert forgot_words(older) == "perplexity of general text 12.1 → 17.4 (+43.8 % [+39, +49])"
    assert forgot_words({"forgetting": {"loss": 0.02, "kl": 0.01}}) == "perplexity of general text +2.0 %"
    assert forgot_words({"forgetting": 0.438}) == "perplexity of general text +43.8 %"
    assert forgot_words({"forgetting": 0.438}, short=True) == "general text +43.8 %"


@pytest.mark.parametrize("result", [None, {}, {"forgetting": None}, {"forgetting": {}}, {"forgot": None}])
def test_what_was_not_measured_has_no_words(result: dict[str, Any] | None) -> None:
    assert forgot_words(result) is None


def test_the_users_own_text_is_called_by_its_name() -> None:
    assert str(forgot_words(RESULT | {"forgetting_of": "told"})).startswith("perplexity of told 12.1 → 17.4")
