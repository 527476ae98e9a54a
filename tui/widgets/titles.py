"""Titles in a panel's border, from text that is never markup."""

from textual.content import Content
from textual.widget import Widget


def set_titles(widget: Widget, title: str, subtitle: str = "") -> None:
    """Put `title` above and `subtitle` below; nothing is repainted where they stand there already."""
    if widget.border_title != Content(title).markup:
        widget.border_title = Content(title)
    if widget.border_subtitle != Content(subtitle).markup:
        widget.border_subtitle = Content(subtitle)
