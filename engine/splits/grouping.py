"""Which column says what rows belong together: a passage, a document, a talk, a person; or a long text that repeats."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rung.engine.core.files import sha256_text
from rung.engine.data.content import text_of
from rung.engine.data.row_text import Row, plain_words

# The last word of a column's name, without _id and the like, in the singular.
_GROUP_WORDS = (
    "document", "doc", "article", "paper", "book", "story", "page", "paragraph", "passage", "context", "title",
    "source", "url", "uri", "file", "filename", "path", "filepath", "transcript", "conversation", "dialogue", "dialog",
    "session", "thread", "tree", "ticket", "call", "meeting", "episode", "video", "repository", "repo", "user",
    "author", "customer", "patient", "client", "speaker", "reviewer",
)  # fmt: skip
_SUFFIXES = frozenset({"id", "ids", "uuid", "key", "hash", "name", "text"})
# A number in these counts the parts of one document: without _id it names nothing.
_NUMBERED_PARTS = frozenset({"page", "paragraph", "passage", "episode"})
# What is asked, and what is answered: rows asked alike are kept together elsewhere, and answers are no material.
_ASKED = frozenset({"question", "query", "prompt", "instruction", "system", "message"})
_ANSWERED = frozenset({
    "answer", "output", "completion", "response", "reply", "reference", "solution", "summary", "chosen", "rejected",
    "label", "target", "ideal", "expected", "result", "prediction", "score", "rating", "class", "category", "intent",
})  # fmt: skip
_ROW_FIELDS = frozenset({"id", "messages", "conversations"})
_WORDS = re.compile(r"[^\W\d_]+?(?=[A-Z][a-z]|(?<=[a-z])[A-Z]|[\W\d_]|$)")
FEWEST_GROUPS = 12
_LARGEST_SHARE = 1 / 4
_LONG_TEXT = 100


@dataclass(frozen=True)
class GroupColumn:
    """A column by which rows fall into groups. A row without a value is a group of its own."""

    name: str
    groups: int
    sharing_rows: int  # rows that have their value in common with another row
    largest: int

    def splits(self, num_rows: int) -> bool:
        """Whether there are enough groups, none of them too large, to divide rows by."""
        return self.groups >= FEWEST_GROUPS and self.largest <= _LARGEST_SHARE * num_rows


def group_key(value: object) -> str:
    """What two rows of one group have in common: the value as text; of a long one its words; empty for no value."""
    text = text_of(value).strip()
    return " ".join(plain_words(text)) or text if len(text) >= _LONG_TEXT else text


def group_names(rows: Sequence[Row], column: str) -> list[str]:
    """The group of each row by the column, as short text; a row without a value is a group of its own."""
    keys = [group_key(row.get(column)) for row in rows]
    return [
        f"row {number}" if not key else key if len(key) < _LONG_TEXT else sha256_text(key)[:16]
        for number, key in enumerate(keys, start=1)
    ]


def group_columns(
    rows: Sequence[Row], never: Collection[str | None] = (), always: Collection[str | None] = ()
) -> list[GroupColumn]:
    """The columns of a usual name, `always`, and those of long texts, whose values repeat over rows; not `never`.

    The columns of a usual name come first, in the order of those names.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if name not in _ROW_FIELDS and name not in never))
    found = [(_rank(name), column) for name in names if (column := _column(rows, name, name in always)) is not None]
    return [column for _, column in sorted(found, key=lambda pair: pair[0])]


def best_column(columns: Sequence[GroupColumn], num_rows: int, held_out_share: float) -> GroupColumn | None:
    """The column to split by: of those that leave enough groups to hold out, the one with the fewest and largest.

    Of a title and its passages it is the title where 12 titles or so are held out, else the passage. Where no column
    leaves so many, it is the one with the most groups. A column in which few rows share a value doesn't stand for one
    in which many do.
    """
    usable = [column for column in columns if column.splits(num_rows)]
    most = max((column.sharing_rows for column in usable), default=0)
    usable = [column for column in usable if 2 * column.sharing_rows >= most]
    enough = [column for column in usable if column.groups * held_out_share >= FEWEST_GROUPS]
    if enough:
        return min(enough, key=lambda column: column.groups)
    return max(usable, key=lambda column: column.groups, default=None)


def _column(rows: Sequence[Row], name: str, named: bool) -> GroupColumn | None:
    values = [row.get(name) for row in rows]
    if not (named or _is_group(name, values) or _is_long_text(name, values)):
        return None
    keys = [group_key(value) for value in values]
    counts = Counter(key for key in keys if key)
    sharing = sum(count for count in counts.values() if count > 1)
    groups = len(counts) + keys.count("")
    return GroupColumn(name, groups, sharing, max(counts.values())) if sharing and groups > 1 else None


def is_asked_or_answered(field: str) -> bool:
    """Whether a field of this name holds what is asked or answered."""
    return _kind(_words(field)) in _ASKED | _ANSWERED


def _is_group(name: str, values: Sequence[object]) -> bool:
    words = _words(name)
    kind = _kind(words)
    if kind not in _GROUP_WORDS or any(isinstance(value, bool) for value in values):
        return False
    numbers = all(isinstance(value, (int, float)) for value in values if value is not None)
    return not (numbers and kind in _NUMBERED_PARTS and words[-1] == kind)


def _is_long_text(name: str, values: Sequence[object]) -> bool:
    # A list of an unknown name is of answers that are accepted, rather than of passages.
    if is_asked_or_answered(name) or not all(value is None or isinstance(value, str) for value in values):
        return False
    texts = {text for value in values if (text := text_of(value).strip())}
    return bool(texts) and sum(map(len, texts)) >= _LONG_TEXT * len(texts)


def _words(name: str) -> list[str]:
    """The words of a column's name in small letters: messageTreeId and message_tree_id are alike."""
    words = [word.casefold() for word in _WORDS.findall(name)]
    if len(words) == 1 and words[0].endswith("id") and words[0][:-2] in _GROUP_WORDS:
        return [words[0][:-2], "id"]
    return words


def _kind(words: Sequence[str]) -> str:
    """What the name stands for: its last word but for _id and the like, in the singular."""
    told = [word for word in words if word not in _SUFFIXES] or [*words]
    return (told[-1].removesuffix("s") if told[-1] != "class" else "class") if told else ""


def _rank(name: str) -> tuple[int, str]:
    kind = _kind(_words(name))
    return _GROUP_WORDS.index(kind) if kind in _GROUP_WORDS else len(_GROUP_WORDS), name
