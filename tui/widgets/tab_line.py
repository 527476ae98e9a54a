"""One line of tabs for narrow terminals: by number key, or by a click."""

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class TabLine(Widget):
    """`1 Loss  2 GPU  3 Probe …`; the current one is in brackets and bold."""

    ALLOW_SELECT = False
    current: reactive[int] = reactive(0)

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, index: int) -> None:
            self.index = index
            super().__init__()

    def __init__(self, titles: tuple[str, ...]) -> None:
        super().__init__()
        self._titles = titles

    def render(self) -> Content:
        parts = []
        for index, title in enumerate(self._titles):
            label = self._label(index, title)
            parts.append((label, "bold $text-accent" if index == self.current else "$muted"))
        return Content.assemble(*parts)

    def _label(self, index: int, title: str) -> str:
        return f"[{index + 1} {title}]" if index == self.current else f" {index + 1} {title} "

    def on_click(self, event: events.Click) -> None:
        at = 0
        for index, title in enumerate(self._titles):
            at += len(self._label(index, title))
            if event.x < at:
                self.post_message(self.Chosen(index))
                return
