"""The doctor of preference and reward runs: reads their figures and says, with them, what goes wrong.

Each sign is compared between the run's first steps and its last ones, and said once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rung.engine.training.methods import method_of

WINDOW = 10
"""Steps whose mean is compared with that of the first ones."""
FLAT_STEPS = 50
VARIANCE_WARNING = 3
DEFAULT_PATIENCE = 20
DEFAULT_KL_LIMIT = 0.5
FALL_LIMIT = 0.5
"""Of the implicit reward of the preferred answers: at beta 0.1 they are 5 nats less likely than they were."""
MARGIN_LIMIT = 10.0
"""At a margin of 10 the logistic loss has lost all but 1/20,000 of its gradient."""


@dataclass(frozen=True)
class Finding:
    """One sign of trouble: what, with which figures, and what to do about it."""

    name: str
    message: str
    details: str
    hint: str


class PreferenceDoctor:
    """Looks at the figures of one step after the other."""

    def __init__(self, method: str, kl_limit: float = DEFAULT_KL_LIMIT) -> None:
        self._method = method
        self._answers = method_of(method).answers_in_training
        self._kl_limit = kl_limit
        self._history: dict[str, list[float]] = {}
        self._told: set[str] = set()
        self.steps_without_variance = 0
        self.has_varied = False

    def examine(self, step: int, figures: Mapping[str, float | None]) -> list[Finding]:
        """What this step shows for the first time."""
        for name, value in figures.items():
            if value is not None:
                self._history.setdefault(name, []).append(value)
        found = self._look_at_answers(step, figures) if self._answers else self._look_at_pairs()
        new = [finding for finding in found if finding is not None and finding.name not in self._told]
        self._told |= {finding.name for finding in new}
        return new

    def _look_at_pairs(self) -> list[Finding | None]:
        return [self._both_fall(), self._margin_explodes()]

    def _look_at_answers(self, step: int, figures: Mapping[str, float | None]) -> list[Finding | None]:
        share = figures.get("frac_reward_zero_std")
        if share is not None:
            self.steps_without_variance = self.steps_without_variance + 1 if share >= 1.0 else 0
            self.has_varied |= share < 1.0
        return [
            self._no_variance(),
            self._length_drifts(),
            self._repeats(),
            self._is_clipped(),
            self._is_flat(step),
            self._diverges(),
        ]

    def _both_fall(self) -> Finding | None:
        """Against the reference, where there is one: plain log-probabilities sum over answers of unlike lengths."""
        kind = "logps" if self._method == "orpo" else "rewards"
        chosen, rejected = self._change(f"{kind}/chosen"), self._change(f"{kind}/rejected")
        if self._method == "reward" or chosen is None or rejected is None:
            return None
        limits = [FALL_LIMIT if kind == "rewards" else 0.1 * abs(before) for before, _ in (chosen, rejected)]
        if any(after >= before - limit for (before, after), limit in zip((chosen, rejected), limits, strict=True)):
            return None
        measured = "nats a token" if kind == "logps" else "beta x nats from the reference"
        return Finding(
            "both_fall",
            "Both log-probabilities fall together: good answers become less likely too",
            f"chosen {_arrow(chosen)}, rejected {_arrow(rejected)} ({measured})",
            f"lower training.learning_rate, raise {self._method}.beta, or (dpo) loss_type: [sigmoid, sft]",
        )

    def _margin_explodes(self) -> Finding | None:
        name = "margin" if self._method == "reward" else "rewards/margins"
        margin = self._change(name)
        if margin is None or margin[1] < MARGIN_LIMIT:
            return None
        return Finding(
            "margin",
            "The margin between the answers explodes: nothing more is learned, and the model drifts",
            f"margin {_arrow(margin)}",
            "fewer epochs, a lower training.learning_rate, or early stopping",
        )

    def _no_variance(self) -> Finding | None:
        if self.steps_without_variance < VARIANCE_WARNING:
            return None
        reward = self._history.get("reward", [0.0])[-1]
        return Finding(
            "no_variance",
            "All answers to a prompt get the same reward: there is no gradient",
            f"for {self.steps_without_variance} steps no group varied; the mean reward is {reward:.3g}",
            "an easier task or reward (partial credit), a higher temperature, more num_generations",
        )

    def _length_drifts(self) -> Finding | None:
        length = self._change("completions/mean_length")
        if length is None or 0.5 * length[0] <= length[1] <= 2.0 * length[0]:
            return None
        reward = self._change("reward")
        rises = reward is not None and reward[1] > reward[0]
        return Finding(
            "length",
            "The answers' length drifts"
            + (" while the reward rises: the reward may be for the length" if rises else ""),
            f"length {_arrow(length)} tokens" + (f", reward {_arrow(reward)}" if reward else ""),
            "add a length reward, and read the samples",
        )

    def _repeats(self) -> Finding | None:
        repetition = self._change("completions/repetition")
        if repetition is None or repetition[1] < repetition[0] + 0.3:
            return None
        return Finding(
            "repetition",
            "The answers repeat themselves more and more: the reward is being hacked",
            f"share of repeated runs of four tokens {_arrow(repetition)}",
            "read the samples; penalise repetition, or raise beta",
        )

    def _is_clipped(self) -> Finding | None:
        clipped = self._change("completions/clipped_ratio")
        if clipped is None or clipped[1] < 0.9:
            return None
        return Finding(
            "clipped",
            "Nearly all answers are cut off at max_completion_length",
            f"share of clipped answers {_arrow(clipped)}",
            f"raise {self._method}.max_completion_length, or train the model to end its answers first (sft)",
        )

    def _is_flat(self, step: int) -> Finding | None:
        rewards, spread = self._history.get("reward", []), self._history.get("reward_std", [])
        if step < FLAT_STEPS or len(rewards) < FLAT_STEPS:
            return None
        half = FLAT_STEPS // 2
        before, after = _mean(rewards[-FLAT_STEPS:-half]), _mean(rewards[-half:])
        if abs(after - before) >= 0.05 * max(_mean(spread[-FLAT_STEPS:]) if spread else 0.0, 1e-6):
            return None
        return Finding(
            "flat",
            f"The reward is flat over {FLAT_STEPS} steps",
            f"reward {before:.4g} → {after:.4g}",
            "a higher training.learning_rate, more num_generations, or a reward that tells answers apart",
        )

    def _diverges(self) -> Finding | None:
        kl = self._change("kl")
        if kl is None or kl[1] <= self._kl_limit:
            return None
        return Finding(
            "kl",
            "The policy has moved away from its reference past the limit",
            f"KL {_arrow(kl)} nats a token, kl_limit is {self._kl_limit:g}",
            f"raise {self._method}.beta, lower the rate, or take an earlier checkpoint",
        )

    def _change(self, name: str) -> tuple[float, float] | None:
        """(mean of the first steps, mean of the last ones); None until they no longer overlap."""
        values = self._history.get(name, [])
        if len(values) < 2 * WINDOW:
            return None
        return _mean(values[:WINDOW]), _mean(values[-WINDOW:])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _arrow(change: tuple[float, float]) -> str:
    return f"{change[0]:.3g} → {change[1]:.3g}"
