"""A list whose lines are marked or not: `[x]` and `[ ]`, so that no colour is needed to tell."""

from collections.abc import Collection, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class MarkList(OptionList):
    """Lines by key; space or enter marks one and unmarks it again."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "select", "mark", show=False)]

    class Marked(Message):
        """What is marked was changed by the user; `marked` is all of it."""

        def __init__(self, marked: frozenset[str]) -> None:
            self.marked = marked
            super().__init__()

    def __init__(self, lines: Mapping[str, str], *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._lines_by_key = dict(lines)
        self.marked: frozenset[str] = frozenset()

    def on_mount(self) -> None:
        self._fill()

    def put(self, marked: Collection[str]) -> None:
        """Mark exactly these."""
        if frozenset(marked) != self.marked:
            self.marked = frozenset(marked)
            self._fill()

    def _on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.marked = self.marked ^ {str(event.option.id)}
        self._fill()
        self.post_message(self.Marked(self.marked))

    def _fill(self) -> None:
        at = self.highlighted
        self.clear_options()
        self.add_options(
            [
                Option(f"[{'x' if key in self.marked else ' '}] {text}", id=key)
                for key, text in self._lines_by_key.items()
            ]
        )
        self.highlighted = at or 0
