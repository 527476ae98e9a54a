"""Rewards: what a recipe may write, what each gives, and what a bad function of the user's leads to."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.training.rewards.batch import RewardBatch
from rung.engine.training.rewards.build import build_rewards, check_rewards
from rung.engine.training.rewards.settings import names_of, read_rewards


def batch_of(*completions: str, references: list[str | None] | None = None) -> RewardBatch:
    count = len(completions)
    prompts = [[{"role": "user", "content": f"q{at}"}] for at in range(count)]
    known = references or [None] * count
    return RewardBatch(
        prompts, completions, known, [{"number": at} for at in range(count)], [len(c) for c in completions]
    )


def scores_of(
    given: dict[str, Any] | str, *completions: str, references: list[str | None] | None = None, root: Path = Path(".")
) -> list[float | None]:
    (reward,) = build_rewards(read_rewards([given], "grpo.rewards"), root, "cpu")
    try:
        return reward.score(batch_of(*completions, references=references))
    finally:
        reward.close()


def test_rules() -> None:
    answers = ("so 5", "#### 4", "none")
    references: list[str | None] = ["#### 5", "5", None]
    assert scores_of("numeric_answer", *answers, references=references) == [1.0, 0.0, None]
    assert scores_of({"name": "exact", "casefold": True}, "A b", "c", references=["a  B", "d"]) == [1.0, 0.0]
    assert scores_of({"name": "regex", "pattern": r"^\d+$"}, "12", "x") == [1.0, 0.0]
    found = {"name": "regex", "pattern": r"is (?P<answer>\w+)"}
    assert scores_of(found, "it is red", "it is red", references=["red", None]) == [1.0, None]
    schema = {"name": "json_schema", "schema": {"type": "object", "required": ["a"]}}
    assert scores_of(schema, '{"a": 1}', "{}", "no") == [1.0, 0.0, 0.0]


def test_length_falls_on_both_sides() -> None:
    given = {"name": "length", "least": 2, "most": 4}
    assert scores_of(given, "", "a", "a b", "a b c d", "a b c d e f", "a " * 9) == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    assert scores_of({"name": "length", "most": 4, "unit": "characters"}, "abcd", "abcdef") == [1.0, 0.5]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "needs a list of rewards"),
        ("exact", "needs a list of rewards"),
        (["exackt"], "did you mean exact"),
        ([{"name": "length"}], "needs the option most"),
        ([{"name": "length", "least": 5, "most": 2}], "least is above most"),
        ([{"name": "length", "most": 2, "pattern": "x"}], "has no option pattern"),
        ([{"name": "exact", "most": 2}], "has no option most"),
        ([{"name": "model"}], "one of run"),
        ([{"name": "python"}], "needs the option file"),
        ([{"name": "exact", "weight": "much"}], "weight"),
        (["exact", {"weight": 1.0}], "rewards[1]"),
    ],
)
def test_a_faulty_reward_is_named(given: Any, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        read_rewards(given, "grpo.rewards")
    assert words in str(caught.value)


def test_what_a_reward_names_must_be_there(tmp_path: Path) -> None:
    for given in (
        {"name": "python", "file": "gone.py"},
        {"name": "model", "run": "gone"},
        {"name": "regex", "pattern": "("},
    ):
        with pytest.raises(EngineError):
            check_rewards(read_rewards([given], "grpo.rewards"), tmp_path)


def test_names_on_the_curves_differ() -> None:
    rewards = read_rewards(["exact", {"name": "regex", "pattern": "a"}, {"name": "regex", "pattern": "b"}], "r")
    assert names_of(rewards) == ["exact", "regex", "regex-2"]


def python_reward(root: Path, text: str, **options: Any) -> dict[str, Any]:
    (root / "mine.py").write_text(text)
    return {"name": "python", "file": "mine.py", **options}


PRINTS = """print('loaded')
def reward(completions, rows):
    print('called')
    return [len(text) + row['number'] for text, row in zip(completions, rows)]
"""
TAKES_THE_REST = """import numpy as np
def all_of(prompts, references, **rest):
    assert set(rest) == {'completions', 'rows'}
    return np.array([1, 0.5])
"""


def test_a_function_gets_what_its_signature_names(tmp_path: Path) -> None:
    assert scores_of(python_reward(tmp_path, PRINTS), "ab", "abc", root=tmp_path) == [2.0, 4.0]
    given = python_reward(tmp_path, TAKES_THE_REST, function="all_of")
    assert scores_of(given, "ab", "abc", root=tmp_path) == [1.0, 0.5]
    given = python_reward(tmp_path, "def reward(completions):\n    return [True, None]\n")
    assert scores_of(given, "ab", "abc", root=tmp_path) == [1.0, None]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def reward(completions):\n    return [1 / 0]\n", "ZeroDivisionError: division by zero\n"),
        ("def reward(completions):\n    return [float('nan')] * 2\n", "returned nan"),
        ("def reward(completions):\n    return [1.0]\n", "returned 1 rewards for 2 answers"),
        ("def reward(completions):\n    return 1.0\n", "returned no list"),
        ("def reward(completions):\n    return ['good', 'bad']\n", "'good'"),
        ("def reward(completions):\n    while True: pass\n", "hangs"),
        ("import re\ndef reward(completions):\n    return [re.match('(a+)+$', 'a' * 40 + 'b')]\n", "hangs"),
        ("def reward(completions):\n    import os; os._exit(3)\n", "exit code 3"),
        ("def rewrd(completions):\n    return []\n", "there is: rewrd"),
        ("def reward(:\n", "SyntaxError"),
        ("import no_such_module\n", "no_such_module"),
    ],
)
def test_a_bad_function_is_named_with_its_fault(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        scores_of(python_reward(tmp_path, body, timeout=0.5), "ab", "abc", root=tmp_path)
    assert "mine.py:reward" in caught.value.message
    assert words in str(caught.value)


def test_the_line_of_an_error_is_told(tmp_path: Path) -> None:
    body = "def reward(completions):\n    for text in completions:\n        text.nonsense()\n"
    with pytest.raises(EngineError) as caught:
        scores_of(python_reward(tmp_path, body), "ab", root=tmp_path)
    assert "mine.py, line 3: text.nonsense()" in caught.value.details
