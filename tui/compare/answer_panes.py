"""The answers of a Compare round, side by side, or one below the other where they would be too narrow to read."""

from collections.abc import Sequence

from textual.containers import Container

from rung.tui.compare.answer_pane import AnswerPane
from rung.tui.text.word_diff import differing_spans, marked

STACK_BELOW_COLUMNS = 34


class AnswerPanes(Container):
    """One pane a candidate."""

    @property
    def panes(self) -> list[AnswerPane]:
        """The panes, left to right."""
        return list(self.query(AnswerPane))

    @property
    def answers(self) -> list[str]:
        """The answers as they were given, left to right."""
        return [pane.answer for pane in self.panes]

    async def lay_out(self, count: int) -> None:
        """Make this many empty panes."""
        await self.remove_children()
        await self.mount(*(AnswerPane(number) for number in range(1, count + 1)))
        self._arrange()

    def name_them(self, titles: Sequence[str], secret: bool) -> None:
        """Show whose answer stands where; `secret` hides the speeds too."""
        for pane, title in zip(self.panes, titles, strict=True):
            pane.name_it(title, secret)

    def clear(self, note: str, only_empty: bool = False) -> None:
        """Forget the answers; `note` stands in their place."""
        for pane in self.panes:
            if not (only_empty and pane.answer):
                pane.clear(note)

    def show_marks(self, marks: bool) -> None:
        """Mark what the first pane doesn't say; of two panes, in the first what the second doesn't."""
        panes = self.panes
        brackets = self.app.has_class("-ascii")
        for pane in panes:
            other = panes[0] if pane is not panes[0] else panes[1] if len(panes) == 2 else pane
            spans = differing_spans(pane.shown_text, other.shown_text) if marks else []
            pane.show_marked(marked(pane.shown_text, spans, brackets))

    def focus_pane(self, by: int = 0) -> None:
        """Give the keys to a neighbour of the pane that has them, or to the first."""
        panes = self.panes
        if not panes:
            return
        at = next((index for index, pane in enumerate(panes) if pane.has_focus), None)
        panes[0 if at is None else (at + by) % len(panes)].focus()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        self.set_class(self.size.width // max(1, len(self.panes)) < STACK_BELOW_COLUMNS, "-stacked")
