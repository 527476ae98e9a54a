"""Covered screens rest: nothing of them is painted or laid out until they are on top again.

Textual counts the screen below the top one as showing through, also where the top one is opaque. Each change of what
nobody sees then repaints the whole terminal, about twice a second while a job runs: some 200 kB/s over SSH.
"""

from typing import Any

from textual.app import App
from textual.screen import Screen


class CoveredScreensRest(App[None]):
    """An app that repaints what shows through a dialog, and nothing that an opaque screen covers."""

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        return super()._background_screens if self.screen.styles.background.a < 1 else []
