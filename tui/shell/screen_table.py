"""The screens, by name: where each lies, its key and its palette entry. A new screen is one line here."""

import importlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class ScreenEntry:
    """One screen: `target` is "module:Class", imported when it is first opened."""

    name: str
    target: str
    key: str
    title: str
    help: str


# `open_screen(name, **arguments)` makes the class with these arguments; a screen opened by its key gets none.
TABLE = (
    ScreenEntry("welcome", "rung.tui.home.screen:WelcomeScreen", "h", "Home", "projects, recent runs and the demos"),
    ScreenEntry("runs", "rung.tui.runs.screen:RunsScreen", "r", "Runs", "every run of this project"),
    ScreenEntry(
        "compare", "rung.tui.compare.screen:CompareScreen", "c", "Compare", "base and tuned model side by side"
    ),
    ScreenEntry("wizard", "rung.tui.wizard.screen:WizardScreen", "w", "Wizard", "from the situation to the verdict"),
    ScreenEntry(
        "scoreboard", "rung.tui.scoreboard.screen:ScoreboardScreen", "b", "Scoreboard", "candidates and intervals"
    ),
    ScreenEntry("data", "rung.tui.data.screen:DataScreen", "d", "Data", "rows, coloured mask and problems"),
    ScreenEntry(
        "adapters", "rung.tui.adapters.screen:AdaptersScreen", "a", "Adapters", "what was trained, and from what"
    ),
    ScreenEntry("run", "rung.tui.run.screen:RunScreen", "", "Run", "one run, live or recorded"),
)


@cache
def screens() -> dict[str, ScreenEntry]:
    """The screens whose code is there, by name."""
    return {entry.name: entry for entry in TABLE if find_spec(entry.target.partition(":")[0]) is not None}


def screen_class(name: str) -> type[Any]:
    """The class of a screen, imported now. Raises KeyError for a name that has none."""
    module, _, class_name = screens()[name].target.partition(":")
    found: type[Any] = getattr(importlib.import_module(module), class_name)
    return found
