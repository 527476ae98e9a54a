"""What a row says for itself: what the person asks in it and how it is answered, whatever its shape.

Read by the same readers that training uses. A system prompt is no part of it: rows of one data set share theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.data.labels import Labelled
from rung.engine.data.one_row import example_of
from rung.engine.data.preferences import Pair
from rung.engine.data.prompts import Prompted
from rung.engine.data.shapes import Passage

_INSTRUCTING = ("system", "developer")
_NO_TEXT_OF_THE_ROW = frozenset({"id", "system"})


@dataclass(frozen=True)
class Content:
    """What is asked in a row (the earlier turns included) and what is answered: one answer, or the preferred and the
    rejected one. Of running text, and of rows of no known shape, all is the answer.

    `begins` is the user's first turn; `is_branch`: the row may be one of several of the same conversation.
    """

    asked: str
    answered: str
    begins: str = ""
    is_branch: bool = False

    @property
    def text(self) -> str:
        """What is asked, then what is answered."""
        return "\n".join(part for part in (self.asked, self.answered) if part)


def content_of_row(fields: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Content:
    """The content of a row as it stands in its file; `columns` as in a recipe (wanted field: column of the file).

    Of a row that can't be read in any shape, all its strings.
    """
    example = example_of(fields, {wanted: column for wanted, column in (columns or {}).items() if column in fields})
    if example is None:
        values = (value for name, value in fields.items() if name not in _NO_TEXT_OF_THE_ROW)
        return Content("", _joined(values))
    return content_of(example)


def content_of(example: Any) -> Content:
    """The content of an example of any kind."""
    if isinstance(example, Passage):
        return Content("", example.text)
    turns = [turn for turn in example.prompt if turn["role"] not in _INSTRUCTING]
    users = [str(turn["content"]) for turn in turns if turn["role"] == "user"]
    return Content(
        "\n".join(_turn_text(turn) for turn in turns),
        _joined(_turn_text(answer) for answer in _answers(example)),
        users[0] if users else "",
        isinstance(example, Pair) or len(users) > 1,
    )


def text_of(value: Any) -> str:
    """The strings in a value: of a chat turn its content, of a list those of its items; of a system's turn none."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        if value.get("role", value.get("from")) in _INSTRUCTING:
            return ""
        for name in ("content", "value", "text"):
            if name in value:
                return text_of(value[name])
        return _joined(value.values())
    if isinstance(value, Sequence):
        return _joined(value)
    return "" if value is None else str(value)


def _answers(example: Any) -> list[Mapping[str, Any]]:
    if isinstance(example, Pair):
        return [example.chosen, example.rejected]
    if isinstance(example, Labelled):
        return [example.answer]
    if isinstance(example, Prompted):
        return [{"content": example.reference or ""}]
    return [example.messages[-1]]


def _turn_text(turn: Mapping[str, Any]) -> str:
    return _joined((turn.get("content"), turn.get("tool_calls")))


def _joined(values: Iterable[Any]) -> str:
    return "\n".join(text for text in map(text_of, values) if text)
