"""Which rows are of one conversation: those that begin with the same user's words, where some go on from there."""

from collections.abc import Sequence

from rung.engine.data.content import Content
from rung.engine.data.row_text import plain_words


def openings(contents: Sequence[Content]) -> list[str]:
    """The words that each row's conversation begins with; empty where no row shows that they begin a conversation.

    What shows it is a row of several user's turns, or a preference pair, of which one prompt often has many.
    """
    begins = [" ".join(plain_words(content.begins)) for content in contents]
    shown = {begin for begin, content in zip(begins, contents, strict=True) if content.is_branch}
    return [begin if begin in shown else "" for begin in begins]


def opening_limit(num_rows: int) -> int:
    """How many rows may begin alike before that is a habit of speech and not one conversation: an eighth of them."""
    return max(2, num_rows // 8)
