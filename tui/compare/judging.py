"""Keeping what the user judged in Compare, and saying what was kept."""

from collections.abc import Sequence
from pathlib import Path

from rung.engine.results.preferences import (
    PREFERENCES_FILE,
    Choice,
    Tally,
    save_preference,
    save_tie,
    save_training_row,
    tally,
)
from rung.tui.compare.bench import BASE, Round, Setting


def choices_of(setting: Setting, round_: Round, answers: Sequence[str], first: int) -> list[Choice]:
    """The answer in pane `first` beside each other pane's."""
    identities = [setting.identity(label) for label in round_.order]
    return [
        Choice(
            round_.prompt.messages,
            (identities[first], identities[other]),
            (answers[first], answers[other]),
            round_.blind,
            vars(round_.decoding),
        )
        for other in range(len(round_.order))
        if other != first
    ]


def keep_best(root: Path, choices: Sequence[Choice]) -> str:
    """Keep each choice's first answer as the better one; equal answers teach nothing and are left out."""
    different = [choice for choice in choices if choice.answers[0] != choice.answers[1]]
    for choice in different:
        save_preference(root, choice, 0)
    if not different:
        return "The answers are equal: nothing kept. = keeps them as equally good."
    left_out = len(choices) - len(different)
    said = f"{len(different)} pair{'s' * (len(different) > 1)} kept in {PREFERENCES_FILE}"
    return said + (f"; {left_out} with equal answers left out" if left_out else "")


def keep_same(root: Path, choices: Sequence[Choice]) -> str:
    """Keep that the answers are equally good."""
    for choice in choices:
        save_tie(root, choice)
    return "kept as equally good"


def keep_row(root: Path, round_: Round, answer: str) -> str:
    """Keep an answer as a training row."""
    path = save_training_row(root, round_.prompt.messages, answer)
    return f"answer appended to {path.relative_to(root)}"


def count_up(root: Path, setting: Setting) -> list[Tally]:
    """Each trained candidate against the base, over all that the project has kept."""
    return [tally(root, BASE, setting.identity(label)) for label in setting.lineup.adapters]
