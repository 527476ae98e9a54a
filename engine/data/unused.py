"""Columns that nothing is made of: none of them is passed over without a word, least of all one that judges rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rung.engine.data.columns import Reading, label_of, plain_name
from rung.engine.data.read import Row
from rung.engine.recipe.data_needs import ANSWERED, PAIRED

_JUDGING = frozenset({
    "label", "labels", "kto", "rejected", "score", "scores", "weight", "weights", "reward", "rewards", "rating",
    "ratings", "rank", "quality", "feedback", "vote", "votes", "upvotes", "downvotes", "likes", "preference",
    "preferred", "winner", "loser", "correct", "accepted", "desirable", "desirability", "toxicity", "toxic", "bad",
    "negative", "worse", "grade", "verdict", "safe", "unsafe",
})  # fmt: skip
_MEDIA = frozenset({"image", "images", "video", "videos", "audio", "audios"})
_LOOKED_AT = 1000


@dataclass(frozen=True)
class UnusedColumn:
    """A column that nothing is made of, in how many rows it says something, and why that may matter ("": it needn't).

    `kind` is judging, media, answer (it may be one) or "".
    """

    name: str
    rows: int
    kind: str = ""
    why: str = ""

    def with_rows(self, rows: int) -> "UnusedColumn":
        """The column with another number of rows."""
        return replace(self, rows=rows)


def unused_columns(rows: Sequence[Row], reading: Reading) -> list[UnusedColumn]:
    """The columns of a file's rows, in their order, that its reading takes nothing from."""
    used = {*reading.columns.values()}
    counts: dict[str, int] = {}
    for row in rows:
        for name, value in row.fields.items():
            if name not in used and value not in (None, "", [], {}):
                counts[name] = counts.get(name, 0) + 1
    return [_described(name, count, rows, reading) for name, count in counts.items()]


def _described(name: str, count: int, rows: Sequence[Row], reading: Reading) -> UnusedColumn:
    words = {*plain_name(name).split("_")}
    values = [value for row in rows[:_LOOKED_AT] if (value := row.fields.get(name)) is not None]
    if words & _MEDIA:
        return UnusedColumn(name, count, "media", "only text is learned here")
    if words & _JUDGING and reading.shape not in PAIRED:
        return UnusedColumn(name, count, "judging", _why_judging(name, values, reading))
    if reading.shape in ("prompts", "text") and _is_text(values) and not words & {"id", "uuid", "hash"}:
        return UnusedColumn(name, count, "answer", _why_answer(name, reading))
    return UnusedColumn(name, count)


def _why_judging(name: str, values: Sequence[Any], reading: Reading) -> str:
    if reading.shape == "text":
        return f"rows are learned whatever it says; to answer with it: --columns prompt=text completion={name}"
    if plain_name(name) == "rejected" and reading.shape in ANSWERED:
        answer = reading.columns.get("output") or reading.columns.get("completion") or reading.columns.get("answer")
        pair = f"; as pairs: --columns chosen={answer} rejected={name}" if answer else ""
        return f"nothing is learned from the rejected answers{pair}"
    labels = [label_of(value) for value in values]
    if None not in labels and len({*labels}) == 2:
        return (
            f"{labels.count(False):,} of its rows say no, and are learned like those that say yes; "
            f"if it says which answers are good: --shape kto --columns label={name}"
        )
    return "rows are learned whatever it says: take out those that are not to be learned"


def _why_answer(name: str, reading: Reading) -> str:
    prompt = next((column for field, column in reading.columns.items() if field in ("prompt", "question", "text")), "")
    if reading.shape == "text" or prompt == "":
        return "" if reading.shape == "text" else f"if it is the answer: --columns completion={name}"
    return f"if it is the answer: --columns prompt={prompt} completion={name}"


def _is_text(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, (str, list, dict)) for value in values)
