"""The doctor of preference runs: what it says of which figures, and the end of a run whose rewards do not vary."""

from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.training.methods.doctor import PreferenceDoctor
from tests.helpers.method_runs import chat_rows, make_recipe, sit, values, warnings_of, write_rows
from tests.helpers.tiny import make_tiny_model


def told(method: str, start: dict[str, float], end: dict[str, float], steps: int = 60) -> dict[str, str]:
    """Findings of a run whose figures move evenly from `start` to `end`, by name; each must be told only once."""
    doctor = PreferenceDoctor(method)
    found: dict[str, str] = {}
    for step in range(steps):
        share = step / (steps - 1)
        figures = {name: value + share * (end[name] - value) for name, value in start.items()}
        for finding in doctor.examine(step + 1, figures):
            assert finding.name not in found
            found[finding.name] = f"{finding.message}: {finding.details}"
    return found


PAIRS = {"logps/chosen": -40.0, "logps/rejected": -42.0, "rewards/chosen": 0.0, "rewards/rejected": 0.0,
         "rewards/margins": 0.0}  # fmt: skip
ANSWERS = {
    "reward": 0.2,
    "reward_std": 0.1,
    "frac_reward_zero_std": 0.3,
    "completions/mean_length": 20.0,
    "completions/clipped_ratio": 0.1,
    "completions/repetition": 0.05,
    "kl": 0.0,
}


@pytest.mark.parametrize(
    ("method", "start", "end", "name", "words"),
    [
        ("dpo", PAIRS, {"rewards/chosen": -2.0, "rewards/rejected": -6.0}, "both_fall", "good answers"),
        ("orpo", PAIRS, {"logps/chosen": -60.0, "logps/rejected": -80.0}, "both_fall", "nats a token"),
        ("dpo", PAIRS, {"rewards/margins": 30.0}, "margin", "margin"),
        ("reward", {"margin": 0.0}, {"margin": 30.0}, "margin", "margin"),
        ("grpo", ANSWERS, {"reward": 0.4, "completions/mean_length": 90.0}, "length", "may be for the length"),
        ("grpo", ANSWERS, {"reward": 0.4, "completions/mean_length": 4.0}, "length", "length 1"),
        ("grpo", ANSWERS, {"reward": 0.4, "completions/repetition": 0.9}, "repetition", "hacked"),
        ("grpo", ANSWERS, {"reward": 0.4, "completions/clipped_ratio": 1.0}, "clipped", "cut off"),
        ("rloo", ANSWERS, {"reward": 0.2}, "flat", "flat over 50 steps"),
        ("rloo", ANSWERS, {"reward": 0.4, "kl": 2.0}, "kl", "kl_limit is 0.5"),
    ],
)  # fmt: skip
def test_each_sign_is_told_once_with_its_figures(
    method: str, start: dict[str, float], end: dict[str, float], name: str, words: str
) -> None:
    found = told(method, start, {**start, **end})
    assert set(found) == {name}
    assert words in found[name]
    assert "→" in found[name]


def test_a_healthy_run_is_not_disturbed() -> None:
    healthy = {"logps/chosen": -60.0, "logps/rejected": -90.0, "rewards/chosen": -0.2, "rewards/rejected": -3.0}
    assert told("dpo", PAIRS, {**PAIRS, **healthy}) == {}
    assert told("grpo", ANSWERS, {**ANSWERS, "reward": 0.8, "kl": 0.1, "completions/mean_length": 30.0}) == {}


def test_groups_without_variance_are_counted() -> None:
    doctor = PreferenceDoctor("grpo")
    for share in (1.0, 1.0, 0.5, 1.0, 1.0):
        assert doctor.examine(1, {"frac_reward_zero_std": share, "reward": 0.0}) == []
    (finding,) = doctor.examine(6, {"frac_reward_zero_std": 1.0, "reward": 0.0})
    assert "no gradient" in finding.message
    assert doctor.steps_without_variance == 3
    assert doctor.has_varied


def recipe_for(model: Path, reward: str, root: Path) -> Any:
    write_rows(root, chat_rows(16))
    (root / "mine.py").write_text(reward)
    block = {
        "num_generations": 4,
        "max_completion_length": 4,
        "no_variance_patience": 4,
        "rewards": [{"name": "python", "file": "mine.py"}],
    }
    return make_recipe("grpo", model, grpo=block, training={"max_steps": 20, "eval_steps": 20})


def test_a_run_whose_rewards_never_vary_fails_and_says_so(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    folder = new_run_folder(tmp_path, "grpo")
    recipe = recipe_for(model, "def reward(completions):\n    return [0.0] * len(completions)\n", tmp_path)
    with pytest.raises(EngineError, match="No variance in the rewards") as caught:
        sit(recipe, folder)
    assert "over 4 steps" in caught.value.details
    assert any("same reward" in text for text in warnings_of(folder))


STOPS_VARYING = """from pathlib import Path
calls = Path(__file__).with_name("calls")
def reward(completions):
    count = int(calls.read_text()) if calls.exists() else 0
    calls.write_text(str(count + 1))
    return [float(at % 2) if count < 8 else 1.0 for at in range(len(completions))]
"""


def test_a_run_whose_rewards_stop_to_vary_ends_with_its_best(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    folder = new_run_folder(tmp_path, "grpo")
    sit(recipe_for(model, STOPS_VARYING, tmp_path), folder)
    state = RunReader(folder).catch_up()
    assert state.status == "finished"
    assert len(values(folder, "loss")) < 20
    assert (folder.path / "adapter" / "adapter_model.safetensors").exists()
    assert any("no longer vary" in text for text in warnings_of(folder))
