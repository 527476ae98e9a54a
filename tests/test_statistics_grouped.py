"""Rows in groups: what the intervals cover and how often the tests raise a false alarm, simulated with fixed seeds.

The quick tests take a few cases; the acceptance tests take them all and print the table of docs/log.md.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.measure.intervals import estimate
from engine.measure.metrics.macro_f1 import macro_f1
from engine.measure.paired import Difference, compare, shown_worse
from engine.measure.power import examples_for_target, examples_to_settle

Draw = Callable[[np.random.Generator], tuple[NDArray[np.float64], NDArray[np.float64]]]
PER_GROUP = 10
CORRELATIONS = (0.0, 0.1, 0.3, 0.5)
RATES = (0.5, 0.7, 0.8, 0.9, 0.95)


def names(groups: int) -> list[str]:
    return [f"g{number}" for number in np.repeat(np.arange(groups), PER_GROUP)]


def shares(rate: float, correlation: float, groups: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Each group's own rate: beta distributed, so that two answers of a group correlate as asked."""
    if correlation == 0:
        return np.full(groups, rate)
    strength = (1 - correlation) / correlation
    return generator.beta(rate * strength, (1 - rate) * strength, groups)


def right(rate: float, correlation: float, groups: int, generator: np.random.Generator) -> NDArray[np.float64]:
    own = shares(rate, correlation, groups, generator)
    return (generator.random((groups, PER_GROUP)) < own[:, None]).astype(float).ravel()


def graded(rate: float, correlation: float, groups: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Scores between 0 and 1, some of them exactly 1: skewed for high rates."""
    own = np.clip(shares(rate, correlation, groups, generator), 1e-3, 1 - 1e-3)[:, None]
    return generator.beta(own * 3, (1 - own) * 3, (groups, PER_GROUP)).ravel()


def cover_share(rate: float, correlation: float, groups: int, trials: int, kind: str = "right") -> float:
    generator = np.random.default_rng(groups + int(100 * correlation))
    draw, held, owners = {"right": right, "graded": graded}[kind], 0, names(groups)
    truth = rate if kind == "right" else _graded_mean(rate, correlation)
    for _ in range(trials):
        found = estimate(draw(rate, correlation, groups, generator), groups=owners)
        held += found.low <= truth <= found.high
    return held / trials


def _graded_mean(rate: float, correlation: float) -> float:
    if correlation == 0:
        return rate
    own = np.clip(shares(rate, correlation, 400_000, np.random.default_rng(5)), 1e-3, 1 - 1e-3)
    return float(own.mean())


def pair(
    kind: str, apart: float, correlation: float, groups: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two candidates whose lead differs from group to group, truly `apart` on the whole."""
    lead = shares(0.5, correlation, groups, generator)[:, None]
    if kind == "right":
        # Of the 40 % discordant examples, each group's own share goes to a.
        share = np.clip(lead + apart / 0.8, 0, 1)
        discordant = generator.random((groups, PER_GROUP)) < 0.4
        a_wins = generator.random((groups, PER_GROUP)) < share
        both = (generator.random((groups, PER_GROUP)) < 0.8).astype(float)
        return (np.where(discordant, a_wins, both).ravel().astype(float),
                np.where(discordant, ~a_wins, both).ravel().astype(float))  # fmt: skip
    # Skewed: a is a little better on most groups and much worse on few; equal on the whole.
    rare = generator.random((groups, 1)) < 0.15
    base = (
        np.where(rare, -0.34, 0.06)
        if correlation > 0
        else np.where(generator.random((groups, PER_GROUP)) < 0.15, -0.34, 0.06)
    )
    noise = generator.normal(0, 0.05, (groups, PER_GROUP))
    b = np.full((groups, PER_GROUP), 0.5)
    return np.clip(b + base + noise + apart, 0, 1).ravel(), b.ravel()


def shown_apart(found: Difference) -> bool:
    """Whether either of the two is shown worse: the same test and interval seen from both sides."""
    turned = replace(found, difference=-found.difference, low=-found.high, high=-found.low)
    return shown_worse(found) or shown_worse(turned)


def alarms(kind: str, correlation: float, groups: int, trials: int) -> tuple[float, float]:
    """How often either of two equal candidates is shown worse, and how often the interval of the difference holds 0."""
    generator, found, held = np.random.default_rng(groups + int(100 * correlation)), 0, 0
    owners = names(groups)
    for _ in range(trials):
        a, b = pair(kind, 0.0, correlation, groups, generator)
        forward = compare(a, b, groups=owners)
        found += shown_apart(forward)
        held += forward.low <= 0 <= forward.high
    return found / trials, held / trials


@pytest.mark.parametrize(("groups", "correlation", "rate"), [(12, 0.5, 0.8), (16, 0.3, 0.9), (40, 0.5, 0.7)])
def test_intervals_of_grouped_rows_cover(groups: int, correlation: float, rate: float) -> None:
    assert cover_share(rate, correlation, groups, trials=300) >= 0.90


def test_rows_taken_for_independent_cover_far_less() -> None:
    """What was wrong before: the same rows without their groups."""
    generator, held = np.random.default_rng(1), 0
    for _ in range(300):
        found = estimate(right(0.8, 0.5, 16, generator))
        held += found.low <= 0.8 <= found.high
    assert held / 300 < 0.75


@pytest.mark.parametrize("kind", ["right", "skewed"])
def test_equal_candidates_on_grouped_rows_are_seldom_told_apart(kind: str) -> None:
    alarm, held = alarms(kind, 0.5, 16, trials=200)
    assert alarm <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5 and held >= 0.90


def test_groups_make_an_interval_wider_never_narrower_and_are_counted() -> None:
    generator = np.random.default_rng(2)
    for _ in range(50):
        values, other = right(0.7, 0.0, 12, generator), right(0.6, 0.0, 12, generator)
        alone, together = estimate(values), estimate(values, groups=names(12))
        assert together.low <= alone.low and together.high >= alone.high and together.groups == 12
        one, both = compare(values, other), compare(values, other, groups=names(12))
        assert both.low <= one.low and both.high >= one.high and both.p >= one.p and both.groups == 12
    assert estimate([1.0, 0.0, 1.0], groups=["a", "b", "c"]) == estimate([1.0, 0.0, 1.0])


@pytest.mark.parametrize("groups", [["a"] * 8, ["a"] * 4 + ["b"] * 4])
@pytest.mark.parametrize("values", [[1.0] * 8, [0.0, 1.0] * 4, [0.2, 0.9] * 4, [1.0] * 4 + [0.0] * 4])
def test_one_or_two_groups_say_next_to_nothing(groups: list[str], values: list[float]) -> None:
    found = estimate(values, groups=groups)
    assert 0 <= found.low <= found.score <= found.high <= 1 and found.high - found.low > 0.5
    apart = compare(values, values[::-1], groups=groups)
    assert -1 <= apart.low <= apart.difference <= apart.high <= 1
    assert not shown_worse(apart)


def test_macro_f1_follows_its_groups_too() -> None:
    generator = np.random.default_rng(3)
    expected = ["yes" if one else "no" for one in generator.random(160) < 0.5]
    wrong = np.repeat(generator.random(16) < 0.3, 10)
    predicted = [("no" if e == "yes" else "yes") if bad else e for e, bad in zip(expected, wrong, strict=True)]
    alone, together = macro_f1(predicted, expected), macro_f1(predicted, expected, groups=names(16))
    assert together.groups == 16 and alone.groups is None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_what_would_settle_it_is_a_range_and_counts_groups() -> None:
    generator = np.random.default_rng(4)
    values = right(0.85, 0.3, 16, generator)
    rows, grouped = (
        examples_for_target(values.tolist(), 0.8),
        examples_for_target(values.tolist(), 0.8, groups=names(16)),
    )
    assert rows is not None and grouped is not None
    assert rows.low < (rows.likely or 0) and (rows.high is None or rows.high > (rows.likely or 0))
    assert grouped.groups and grouped.low > 16 and "groups of held-out examples" in grouped.words
    a, b = pair("right", 0.0, 0.3, 16, generator)
    settled = examples_to_settle(a.tolist(), b.tolist(), 0.02, groups=names(16))
    assert settled is not None and settled.groups and settled.low > 16


@pytest.mark.accept
@pytest.mark.parametrize("kind", ["right", "graded"])
def test_coverage_of_grouped_scores_everywhere(kind: str) -> None:
    found = {}
    for groups in (12, 16, 40):
        for correlation in CORRELATIONS:
            for rate in RATES if kind == "right" else (0.8,):
                found[groups, correlation, rate] = cover_share(
                    rate, correlation, groups, 600 if kind == "right" else 200, kind
                )
            cells = " ".join(f"{found[key]:.3f}" for key in found if key[:2] == (groups, correlation))
            print(f"{kind:<7} {groups} groups, correlation {correlation:<4} {cells}")
    print(f"{kind} mean {np.mean(list(found.values())):.3f} least {min(found.values()):.3f}")
    # The true coverage is to be 90 % at least; 600 (100) trials have a standard error of 1 (3) points.
    assert 0.93 <= np.mean(list(found.values())) <= 0.975
    assert min(found.values()) >= (0.90 if kind == "right" else 0.85)


@pytest.mark.accept
@pytest.mark.parametrize("kind", ["right", "skewed"])
def test_false_alarms_of_grouped_pairs_everywhere(kind: str) -> None:
    for groups in (12, 16, 40):
        for correlation in CORRELATIONS:
            trials = 300 if kind == "right" else 100  # a graded comparison flips signs 9,999 times
            alarm, held = alarms(kind, correlation, groups, trials)
            print(f"{kind:<7} {groups} groups, correlation {correlation:<4} false alarms {alarm:.3f} covers {held:.3f}")
            assert alarm <= 0.05 + 2 * (0.05 * 0.95 / trials) ** 0.5
            assert held >= 0.90 - 2 * (0.1 * 0.9 / trials) ** 0.5


@pytest.mark.accept
@pytest.mark.parametrize("n", [12, 30, 60, 160, 500])
def test_false_alarms_of_independent_pairs(n: int) -> None:
    """Right/wrong, graded and skewed differences; shown worse takes the test and the interval."""
    generator = np.random.default_rng(n)
    for kind in ("right", "graded", "skewed"):
        found, held = 0, 0
        for _ in range(150):
            if kind == "right":
                hard = generator.random(n) < 0.5
                a, b = (np.where(hard, generator.random(n) < 0.6, 1.0).astype(float) for _ in range(2))
            elif kind == "graded":
                common = generator.beta(4, 2, n)
                a, b = (np.clip(common + generator.normal(0, 0.1, n), 0, 1) for _ in range(2))
            else:
                b = np.full(n, 0.5)
                a = b + np.where(generator.random(n) < 0.1, -0.45, 0.05)
            forward = compare(a, b)
            found += shown_apart(forward)
            held += forward.low <= 0 <= forward.high
        print(f"{kind:<7} n={n:<4} false alarms {found / 150:.3f} covers {held / 150:.3f}")
        assert found / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5, kind
        assert n < 30 or held / 150 >= 0.90 - 2 * (0.1 * 0.9 / 150) ** 0.5, kind
