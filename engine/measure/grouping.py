"""Which column says what rows belong together, where its usual name gives it away: a document, a talk, a person."""

from collections import Counter
from collections.abc import Sequence

from engine.measure.rows import Row

GROUP_NAMES = (
    "document", "document_id", "doc_id", "article", "article_id", "conversation_id", "conversation", "dialogue_id",
    "thread_id", "message_tree_id", "user", "user_id", "author", "author_id", "customer_id", "patient_id",
)  # fmt: skip
_FEWEST_GROUPS = 12
_LARGEST_SHARE = 1 / 8
_LONGEST_VALUE = 200


def usual_group(rows: Sequence[Row]) -> str | None:
    """The first column of a usual name by which rows fall into many small groups, some of several rows; else None."""
    return next((name for name in GROUP_NAMES if _groups_rows(rows, name)), None)


def _groups_rows(rows: Sequence[Row], name: str) -> bool:
    values = [row.get(name) for row in rows]
    if not all(isinstance(value, (str, int)) and 0 < len(str(value)) <= _LONGEST_VALUE for value in values):
        return False
    counts = Counter(map(str, values))
    largest = max(counts.values(), default=0)
    return len(counts) >= _FEWEST_GROUPS and 1 < largest <= _LARGEST_SHARE * len(rows)
