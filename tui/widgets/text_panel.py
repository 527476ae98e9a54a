"""A panel of text that repaints only the lines that have changed."""

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


class TextPanel(Widget):
    """Shows one Content; what it is given is never parsed as markup."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._content = Content("")

    @property
    def text(self) -> str:
        """What it says, without styles."""
        return self._content.plain

    def put(self, content: Content | str) -> None:
        """Show `content`; nothing is repainted when it is what is shown already."""
        new = Content(content) if isinstance(content, str) else content
        if new.is_same(self._content):
            return
        width = self.size.width
        rows = _changed_rows(self._content, new, width)
        self._content = new
        if rows:
            self.refresh(*(Region(0, row, width, 1) for row in rows))
        else:
            self.refresh(layout=self.styles.is_auto_height)

    def render(self) -> Content:
        return self._content


def _changed_rows(old: Content, new: Content, width: int) -> list[int]:
    """The rows whose text or style differs; none when more than that may have changed, because lines came or wrap."""
    before, after = old.split("\n", allow_blank=True), new.split("\n", allow_blank=True)
    if len(before) != len(after) or any(line.cell_length > width for line in (*before, *after)):
        return []
    return [row for row, (was, now) in enumerate(zip(before, after, strict=True)) if not was.is_same(now)]
