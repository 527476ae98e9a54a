"""Where a prompt is written: enter sends, older prompts come back with the arrows, tab takes the next prompt row."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

NEWLINE_KEYS = frozenset({"ctrl+j", "shift+enter", "alt+enter"})


class PromptInput(TextArea):
    """A text area that sends on enter. `sent` holds what was sent, newest last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", tooltip="answer this prompt by every candidate"),
        Binding("tab", "next_prompt", "prompt from rows", tooltip="the next pinned or held-out prompt"),
        Binding("ctrl+j", "newline", "new line", show=False, tooltip="also shift+enter, where it arrives"),
        Binding("escape", "leave", "to the answers", tooltip="keys then judge, save and steer"),
    ]

    class Sent(Message):
        """The prompt is to be answered."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    class NextPrompt(Message):
        """Another pinned or held-out prompt is wanted."""

    class Left(Message):
        """The keys are wanted for the answers."""

    def __init__(self) -> None:
        super().__init__(id="prompt", compact=True, placeholder="enter sends, ctrl+j breaks the line")
        self.border_title = "You"
        self.sent: list[str] = []
        self._back = 0

    async def _on_key(self, event: events.Key) -> None:
        if event.key in NEWLINE_KEYS:
            event.stop()
            event.prevent_default()
            self.action_newline()
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_send()
        else:
            await super()._on_key(event)

    def put(self, text: str) -> None:
        """Replace what is written."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_send(self) -> None:
        """Send what is written."""
        if not self.text.strip():
            return
        if not self.sent or self.sent[-1] != self.text:
            self.sent.append(self.text)
        self._back = 0
        self.post_message(self.Sent(self.text))

    def action_newline(self) -> None:
        """Break the line."""
        self.insert("\n")

    def action_next_prompt(self) -> None:
        """Ask for another prompt row."""
        self.post_message(self.NextPrompt())

    def action_leave(self) -> None:
        """Give the keys to the answers."""
        self.post_message(self.Left())

    def action_cursor_up(self, select: bool = False) -> None:
        """Up a line; from the first one to the prompt sent before."""
        if self.cursor_location[0] > 0 or select:
            super().action_cursor_up(select)
        elif self._back < len(self.sent):
            self._back += 1
            self.put(self.sent[-self._back])

    def action_cursor_down(self, select: bool = False) -> None:
        """Down a line; from the last one to the prompt sent after."""
        if self.cursor_location[0] < self.document.line_count - 1 or select:
            super().action_cursor_down(select)
        elif self._back > 0:
            self._back -= 1
            self.put(self.sent[-self._back] if self._back else "")
