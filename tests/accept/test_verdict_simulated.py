"""Wrong verdicts, counted over simulated ladders whose true scores are known: at most one in twenty, at every size."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pytest

from rung.engine.ladder import verdict_margin, verdict_target
from rung.engine.ladder.pairs import Measured
from rung.engine.ladder.question import Question
from rung.engine.ladder.spec import RUNGS
from rung.engine.ladder.verdict import decide
from rung.engine.metrics.parse import parse_metric
from rung.engine.metrics.scoring import ExampleScore
from rung.engine.metrics.summary import aggregate
from rung.engine.stats import paired

EXACT = parse_metric("exact_match")
KEY = EXACT.key  # not cheap to ask for, once for every answer
MOST_WRONG = 0.05
SIZES = (12, 30, 60, 160, 500)


@dataclass(frozen=True)
class Truth:
    """True scores of prompt, RAG and tune, and the verdicts that are right for them (undecided always is)."""

    scores: tuple[float, float, float]
    right: frozenset[str]
    target: float | None = None


WITHOUT_TARGET = {
    "all equal": Truth((0.7, 0.7, 0.7), frozenset({"prompt"})),
    "all equal, high": Truth((0.95, 0.95, 0.95), frozenset({"prompt"})),
    "tune 5 better": Truth((0.7, 0.7, 0.75), frozenset({"tune"})),
    "both higher 5 better": Truth((0.7, 0.75, 0.75), frozenset({"rag"})),
    "rag 10 better": Truth((0.6, 0.7, 0.6), frozenset({"rag"})),
    "both higher 10 better": Truth((0.6, 0.7, 0.7), frozenset({"rag"})),
    "each 10 better": Truth((0.6, 0.7, 0.8), frozenset({"tune"})),
}
WITH_TARGET = {
    "all 5 over": Truth((0.85, 0.85, 0.85), frozenset({"prompt"}), 0.8),
    "all 5 under": Truth((0.75, 0.75, 0.75), frozenset({"none"}), 0.8),
    "tune alone 5 over": Truth((0.75, 0.75, 0.85), frozenset({"tune"}), 0.8),
    "higher ones 5 over": Truth((0.75, 0.85, 0.85), frozenset({"rag"}), 0.8),
    "prompt 5 over, tune 15 over": Truth((0.85, 0.85, 0.95), frozenset({"prompt"}), 0.8),
    "all 4 over .95": Truth((0.99, 0.99, 0.99), frozenset({"prompt"}), 0.95),
}


def answers(truth: Truth, n: int, generator: np.random.Generator, groups: int | None) -> list[Measured]:
    """One candidate a rung; answers to one example go together (some are hard), and so do those of one group."""
    owner = np.arange(n) if groups is None else np.arange(n) % groups
    shared = generator.normal(size=n) if groups is None else generator.normal(size=groups)[owner]
    found = []
    for rung, score in zip(RUNGS, truth.scores, strict=True):
        own = generator.normal(size=n) if groups is None else generator.normal(size=n)
        latent = np.sqrt(0.5) * shared + np.sqrt(0.5) * own
        values = (latent < _quantile(score)).astype(float)
        scores = tuple(
            ExampleScore(str(i), KEY, float(v), group=None if groups is None else str(owner[i]))
            for i, v in enumerate(values)
        )
        found.append(Measured(f"c-{rung}", rung, "one way", aggregate(EXACT, scores), scores))
    return found


def _quantile(share: float) -> float:
    from rung.engine.stats.distributions import normal_quantile

    return normal_quantile(share)


def verdicts(truth: Truth, n: int, trials: int, seed: int, groups: int | None = None) -> Counter[str]:
    generator = np.random.default_rng(seed)
    question = Question(EXACT, truth.target)
    return Counter(decide(answers(truth, n, generator, groups), question, applies=RUNGS).rung for _ in range(trials))


def wrong(found: Counter[str], truth: Truth) -> float:
    return sum(count for rung, count in found.items() if rung not in truth.right | {"undecided"}) / found.total()


@pytest.fixture(autouse=True)
def _without_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many examples would settle it has tests of its own, and takes most of the time here."""
    monkeypatch.setattr(verdict_margin, "examples_to_settle", lambda *_, **__: None)
    monkeypatch.setattr(verdict_target, "examples_for_target", lambda *_, **__: None)
    # The test of whole groups stays exact with fewer flips; the intervals of the same counts are asked for repeatedly.
    monkeypatch.setattr(paired, "sign_flip_p_values", partial(paired.sign_flip_p_values, flips=399))
    monkeypatch.setattr(paired, "tango_interval", lru_cache(100_000)(paired.tango_interval))


def allowed(trials: int) -> float:
    """5 %, and one standard error of so many trials."""
    return MOST_WRONG + (MOST_WRONG * (1 - MOST_WRONG) / trials) ** 0.5


@pytest.mark.parametrize("name", [*WITHOUT_TARGET, *WITH_TARGET])
def test_few_wrong_verdicts_in_a_few_trials(name: str) -> None:
    truth = (WITHOUT_TARGET | WITH_TARGET)[name]
    assert wrong(verdicts(truth, 60, 60, seed=1), truth) <= allowed(60)


@pytest.mark.accept
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", [*WITHOUT_TARGET, *WITH_TARGET])
def test_wrong_verdicts_are_at_most_one_in_twenty(name: str, n: int) -> None:
    truth = (WITHOUT_TARGET | WITH_TARGET)[name]
    found = verdicts(truth, n, 200, seed=n)
    print(f"{name:<28} n={n:<4} wrong {wrong(found, truth):.3f}  {dict(found)}")
    assert wrong(found, truth) <= allowed(200)


@pytest.mark.accept
@pytest.mark.parametrize("groups", [12, 16, 40])
@pytest.mark.parametrize(
    "name", ["all equal", "both higher 5 better", "all 5 over", "all 5 under", "tune alone 5 over"]
)
def test_wrong_verdicts_with_groups_are_at_most_one_in_twenty(name: str, groups: int) -> None:
    truth = (WITHOUT_TARGET | WITH_TARGET)[name]
    found = verdicts(truth, 10 * groups, 200, seed=groups, groups=groups)
    print(f"{name:<28} {groups} groups of 10  wrong {wrong(found, truth):.3f}  {dict(found)}")
    assert wrong(found, truth) <= allowed(200)


@dataclass(frozen=True)
class RareGroups:
    """Prompting scores `usual` in most groups and `bad` in a share of them; the higher rungs score the same in all."""

    groups: int
    share: float
    usual: float
    bad: float
    higher: float
    right: frozenset[str]
    target: float | None = None
    margin: float = 0.02


RARE_GROUPS = {
    "equal on the whole": RareGroups(16, 0.10, 0.76, 0.16, 0.70, frozenset({"prompt"})),
    "equal on the whole, 40": RareGroups(40, 0.05, 0.73, 0.13, 0.70, frozenset({"prompt"})),
    "prompt truly 8 worse": RareGroups(12, 0.10, 0.90, 0.10, 0.90, frozenset({"rag"})),
    "prompt truly 5 worse, 40": RareGroups(40, 0.05, 0.95, 0.05, 0.955, frozenset({"rag"})),
    "prompt truly 11 worse, 30, by 10": RareGroups(30, 0.12, 0.90, 0.0, 0.90, frozenset({"rag"}), margin=0.1),
    "equal on the whole, 40, by 10": RareGroups(40, 0.05, 0.93, 0.36, 0.90, frozenset({"prompt"}), margin=0.1),
    "prompt 6 under the target": RareGroups(12, 0.15, 0.98, 0.10, 0.98, frozenset({"rag"}), 0.9),
    "prompt 2 under the target, 40": RareGroups(40, 0.05, 0.97, 0.17, 0.97, frozenset({"rag"}), 0.95),
}


def rare_verdicts(truth: RareGroups, trials: int, seed: int) -> Counter[str]:
    generator, owner = np.random.default_rng(seed), np.repeat(np.arange(truth.groups), 10)
    question = Question(EXACT, truth.target, truth.margin)

    def ladder() -> list[Measured]:
        own = np.where(generator.random(truth.groups) < truth.share, truth.bad, truth.usual)[owner]
        hard = generator.random(len(owner))
        found = []
        for rung in RUNGS:
            # Hard examples are hard for all: three in four are judged by the same luck.
            luck = np.where(generator.random(len(owner)) < 0.75, hard, generator.random(len(owner)))
            right = luck < (own if rung == "prompt" else truth.higher)
            scores = tuple(ExampleScore(str(i), KEY, float(one), group=str(owner[i])) for i, one in enumerate(right))
            found.append(Measured(f"c-{rung}", rung, "one way", aggregate(EXACT, scores), scores))
        return found

    return Counter(decide(ladder(), question, applies=RUNGS).rung for _ in range(trials))


@pytest.mark.accept
@pytest.mark.parametrize("name", RARE_GROUPS)
def test_a_rare_kind_of_group_seldom_makes_a_verdict_wrong(name: str) -> None:
    truth, trials = RARE_GROUPS[name], 300
    found = rare_verdicts(truth, trials, seed=1)
    share = sum(count for rung, count in found.items() if rung not in truth.right | {"undecided"}) / trials
    print(f"{name:<30} {truth.groups} groups of 10  wrong {share:.3f}  {dict(found)}")
    assert share <= allowed(trials)


@pytest.mark.accept
@pytest.mark.parametrize("n", [60, 160, 500])
def test_the_best_of_twenty_equal_candidates_seldom_reaches_a_target_that_none_reaches(n: int) -> None:
    """Twenty candidates truly at .79 against .8, all measured on the held-out rows and none chosen beforehand."""
    generator, reached = np.random.default_rng(n), 0
    for _ in range(200):
        hard = generator.normal(size=n)
        candidates: list[Measured] = []
        for number in range(20):
            latent = np.sqrt(0.5) * hard + np.sqrt(0.5) * generator.normal(size=n)
            candidates.append(_candidate(f"c{number}", latent < _quantile(0.79)))
        reached += decide(candidates, Question(EXACT, 0.8)).rung == "prompt"
    print(f"best of 20 at .79 reaches .8: n={n} {reached / 200:.3f}")
    assert reached / 200 <= allowed(200)


def _candidate(name: str, right: Sequence[bool]) -> Measured:
    scores = tuple(ExampleScore(str(i), KEY, float(one)) for i, one in enumerate(right))
    return Measured(name, "prompt", "one way", aggregate(EXACT, scores), scores)
