"""Scores of a candidate over all its answers: means, macro-F1 and perplexity, with intervals and differences."""

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rung.engine.core.errors import EngineError
from rung.engine.metrics import ExampleScore, aggregate, compare_scores, parse_metric, score_example
from rung.engine.metrics.macro_f1 import compare_macro_f1, macro_f1
from rung.engine.stats.intervals import estimate
from rung.engine.stats.paired import compare

LABELS = ("bug", "question", "praise")


def test_a_mean_leaves_out_what_cannot_be_scored() -> None:
    spec = parse_metric("numeric")
    scores = [score_example(spec, str(i), answer, "7") for i, answer in enumerate(("7", "8", "seven", "7.0"))]
    scores.append(score_example(spec, "no number", "7", "seven"))
    assert aggregate(spec, scores) == estimate([1, 0, 0, 1])
    with pytest.raises(EngineError, match="none of the 1 answers"):
        aggregate(spec, scores[-1:])


def test_candidates_are_compared_on_the_examples_both_have_scores_for() -> None:
    spec = parse_metric("exact_match")
    a = [ExampleScore(str(i), spec.key, float(i % 3 > 0)) for i in range(40)]
    b = [ExampleScore(str(i), spec.key, float(i % 2)) for i in reversed(range(5, 50))]
    found = compare_scores(spec, a, b)
    assert found == compare([float(i % 3 > 0) for i in range(5, 40)], [float(i % 2) for i in range(5, 40)])
    with pytest.raises(EngineError, match="share no scored example"):
        compare_scores(spec, a[:3], b[:3])


def test_perplexity_is_exp_of_the_mean_of_nats() -> None:
    spec = parse_metric("reference_perplexity")
    nats = np.random.default_rng(0).gamma(4, 0.5, 60)
    found = aggregate(spec, [ExampleScore(str(i), spec.key, float(value)) for i, value in enumerate(nats)])
    assert found.score == pytest.approx(math.exp(nats.mean()))
    assert found.low < found.score < found.high
    assert not spec.more_is_better


def test_macro_f1_is_scikit_learns() -> None:
    expected, predicted = _classified(120, 0.7, seed=1)
    predicted[3] = "no label at all"
    found = macro_f1(predicted, expected)
    assert found.score == pytest.approx(f1_score(expected, predicted, labels=LABELS, average="macro", zero_division=0))
    assert found.low < found.score < found.high and found.n == 120


def test_macro_f1_of_answers() -> None:
    spec = parse_metric({"name": "macro_f1", "labels": list(LABELS)})
    expected, predicted = _classified(60, 0.8, seed=2)
    scores = [
        score_example(spec, str(i), f"This is a {guess}.", truth)
        for i, (guess, truth) in enumerate(zip(predicted, expected, strict=True))
    ]
    assert aggregate(spec, scores) == macro_f1(predicted, expected)
    other = [score_example(spec, str(i), "bug", truth) for i, truth in enumerate(expected)]
    found = compare_scores(spec, scores, other)
    assert found == compare_macro_f1(predicted, ["bug"] * 60, expected)
    assert found.p < 0.01 and found.low > 0


def test_perfect_and_equal_classifiers_give_no_false_certainty() -> None:
    expected, predicted = _classified(40, 0.8, seed=3)
    perfect = macro_f1(expected, expected)
    assert perfect.score == 1.0 and perfect.low < 0.95
    equal = compare_macro_f1(predicted, predicted, expected)
    assert equal.difference == 0 and equal.p == 1.0 and equal.low < 0 < equal.high


def test_macro_f1_intervals_cover_and_equal_classifiers_are_rarely_called_different() -> None:
    truth, _ = _classified(200_000, 0.75, seed=4)
    _, guess = _classified(200_000, 0.75, seed=4)
    true_score = f1_score(truth, guess, average="macro")
    covered, alarms, trials = 0, 0, 200
    for seed in range(trials):
        expected, a = _classified(60, 0.75, seed=seed)
        b = _guesses(expected, 0.75, np.random.default_rng(10_000 + seed))
        found = macro_f1(a, expected, resamples=999)
        covered += found.low <= true_score <= found.high
        alarms += compare_macro_f1(a, b, expected, resamples=999).p <= 0.05
    assert 0.90 <= covered / trials <= 0.99
    # The test is exact: 5 % but for the noise of 200 trials (1.5 points).
    assert alarms / trials <= 0.05 + 2 * 0.0154


def _classified(n: int, accuracy: float, seed: int) -> tuple[list[str], list[str]]:
    """True labels, the third of them rare, and guesses that are right with this probability."""
    generator = np.random.default_rng(seed)
    expected = [str(label) for label in generator.choice(LABELS, n, p=(0.5, 0.3, 0.2))]
    return expected, _guesses(expected, accuracy, generator)


def _guesses(expected: list[str], accuracy: float, generator: np.random.Generator) -> list[str]:
    right = generator.random(len(expected)) < accuracy
    others = generator.choice(LABELS, len(expected))
    return [truth if hit else str(other) for truth, hit, other in zip(expected, right, others, strict=True)]
