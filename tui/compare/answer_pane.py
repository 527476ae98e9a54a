"""One candidate's answer in Compare: its name, the text as it comes, and how fast."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rung.tui.text.words import figure, printable

ENDINGS = {"length": " (limit)", "cancelled": " (cancelled)"}


class AnswerPane(VerticalScroll):
    """Scrolls; keeps its end in view while text comes in. What it is given is never parsed as markup."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.answer = ""
        self.tokens = 0
        self.seconds = 0.0
        self.stop_reason: str | None = None
        self._title = ""
        self._secret = False

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def name_it(self, title: str, secret: bool) -> None:
        """Show this title; `secret` hides what could give the candidate away: its speed."""
        self._title, self._secret = title, secret
        self._label()

    def clear(self, note: str = "") -> None:
        """Forget the answer; `note` stands in its place until text comes."""
        self.answer, self.tokens, self.seconds, self.stop_reason = "", 0, 0.0, None
        self._show(Content.styled(note, "$muted"))
        self._label()

    def add(self, text: str, tokens: int, seconds: float) -> None:
        """Append a piece of the answer."""
        at_end = self.max_scroll_y - self.scroll_y < 2
        self.answer += text
        self.tokens, self.seconds = tokens, seconds
        self._show(Content(self.shown_text))
        self._label()
        if at_end:
            # Whoever has scrolled up to read stays there.
            self.call_after_refresh(self.scroll_end, animate=False)

    def finish(self, text: str, tokens: int, seconds: float, stop_reason: str) -> None:
        """The answer is complete."""
        self.answer, self.tokens, self.seconds, self.stop_reason = text, tokens, seconds, stop_reason
        self.show_marked(None)
        self._label()

    def show_marked(self, content: Content | None) -> None:
        """Show the answer with marks, or without any; an empty answer is said."""
        plain = Content(self.shown_text) if self.shown_text.strip() else Content.styled("(empty answer)", "$muted")
        self._show(content if content is not None and self.shown_text.strip() else plain)

    @property
    def shown_text(self) -> str:
        """The answer as it stands on screen."""
        return printable(self.answer)

    def _show(self, content: Content) -> None:
        self.query_one(Static).update(content)

    def _label(self) -> None:
        # Titles are markup to Textual: names come from folders, so their brackets are escaped.
        self.border_title = f"{self.number} {self._title}".replace("[", r"\[")
        rate = self.tokens / self.seconds if self.seconds else None
        speed = "" if self._secret or rate is None else f"{figure(rate)} tok/s"
        length = f"{self.tokens} tokens{ENDINGS.get(self.stop_reason or '', '')}" if self.tokens else ""
        self.border_subtitle = " · ".join(part for part in (length, speed) if part)
