"""Which rows are of one conversation: those that begin with the same user's words, where some go on from there."""

import re
from collections.abc import Mapping, Sequence

from engine.measure.rows import Row, plain_words, row_parts, text_of

_TURN_FIELDS = ("messages", "conversations", "prompt", "chosen")
_USERS = ("user", "human")
_TRANSCRIPT_TURN = re.compile(r"\s*Human:(.*?)(?=\n\nAssistant:|\n\nHuman:|$)", re.DOTALL)


def openings(rows: Sequence[Row]) -> list[str]:
    """The words that each row's conversation begins with; empty where no row shows that they begin a conversation.

    What shows it is a row of several user's turns, or a preference pair, of which one prompt often has many.
    """
    turns = [_user_turns(row) for row in rows]
    begins = [" ".join(plain_words(said[0])) if said else "" for said in turns]
    shown = {begin for begin, said, row in zip(begins, turns, rows, strict=True) if len(said) > 1 or "rejected" in row}
    return [begin if begin in shown else "" for begin in begins]


def opening_limit(num_rows: int) -> int:
    """How many rows may begin alike before that is a habit of speech and not one conversation: an eighth of them."""
    return max(2, num_rows // 8)


def _user_turns(row: Row) -> list[str]:
    for field in _TURN_FIELDS:
        value = row.get(field)
        if isinstance(value, str) and value.lstrip().startswith("Human:"):
            return _TRANSCRIPT_TURN.findall(value)
        if isinstance(value, list):
            turns = [turn for turn in value if isinstance(turn, Mapping)]
            said = [text_of(turn) for turn in turns if turn.get("role", turn.get("from")) in _USERS]
            if said:
                return said
    return [row_parts(row)[0]] if "rejected" in row else []
