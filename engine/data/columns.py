"""Which column of a file is which field of a row: by its own name, or by a usual other one.

Names are compared without regard to capitals, spaces and hyphens. What a person says of the columns is applied before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.read import Row
from rung.engine.recipe.column_names import (
    ANSWERS,
    ASKED,
    BAD,
    FIELDS,
    FIELDS_OF,
    GOOD,
    LABELS,
    PAIR_PROMPTS,
    PAIRS,
    REFERENCES,
    SPEAKERS,
    SYSTEM,
    TURNS,
)
from rung.engine.recipe.data_needs import known_shape

Found = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Reading:
    """How the rows of a file are read: their shape, and the column that each of its fields stands in."""

    shape: str
    columns: dict[str, str]

    @property
    def renamed(self) -> dict[str, str]:
        """The fields whose column has another name."""
        return {field: column for field, column in self.columns.items() if field != column}


def read_as(rows: Sequence[Row], shape: str = "auto") -> Reading:
    """How to read the rows, told from the columns of the first thousand; `auto` finds the shape, too.

    Raises EngineError for a shape that there isn't, and when none fits.
    """
    known_shape(shape)
    found = [
        each
        for row in rows[:1000]
        if (each := _auto(row.fields) if shape == "auto" else (shape, _columns_of(shape, row.fields))) is not None
    ]
    if not found:
        raise _no_shape(rows)
    shapes = Counter(name for name, _ in found)
    # Of as many, a shape with answers: what lacks one is told row by row.
    best = max(shapes, key=lambda name: (shapes[name], name != "prompts", name))
    votes = Counter(tuple(columns.items()) for name, columns in found if name == best)
    chosen = max(votes.items(), key=lambda vote: (vote[1], len(vote[0])))[0]
    columns = dict(chosen)
    return Reading(best, columns | _further(best, columns, rows))


def apply_columns(rows: Sequence[Row], columns: Mapping[str, str]) -> list[Row]:
    """The rows with each field under its own name beside the column that it stands in."""
    moved = {field: column for field, column in columns.items() if field != column}
    if not moved:
        return list(rows)
    return [row.with_fields({field: row.fields.get(column) for field, column in moved.items()}) for row in rows]


def answered_shape(fields: Mapping[str, Any]) -> str | None:
    """The shape of a row that ends in an answer, whatever label it has beside that; None where it has none."""
    found = _answered(fields, _names(fields))
    return found[0] if found is not None else None


def label_of(value: Any) -> bool | None:
    """Whether a label says that an answer is a good one; None where it says neither."""
    word = str(value).strip().casefold()
    return True if word in GOOD else False if word in BAD else None


def is_transcript(value: Any) -> bool:
    """Whether a field holds a transcript of the HH kind: `Human: … Assistant: …` in one string."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def plain_name(column: str) -> str:
    """A column's name as it is compared: small letters, with one underscore for spaces and hyphens."""
    return "_".join(column.casefold().replace("-", " ").replace("_", " ").split())


def _auto(fields: Mapping[str, Any]) -> Found | None:
    have = _names(fields)
    if (pair := _pair(have)) is not None:
        is_hh = is_transcript(fields[pair["chosen"]]) and "prompt" not in have
        return "hh" if is_hh else "preference", pair
    answered = _answered(fields, have)
    if answered is not None:
        label = next((have[name] for name in LABELS if name in have and _labels(fields[have[name]])), None)
        return ("kto", answered[1] | {"label": label}) if label is not None else answered
    if "messages" in have:
        return "prompts", {"messages": have["messages"]}
    if "text" in have:
        return "text", {"text": have["text"]}
    prompt = _prompt(have)
    return ("prompts", prompt) if prompt else None


def _columns_of(shape: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a shape that a person has named."""
    have = _names(fields)
    if shape in ("preference", "hh"):
        return _pair(have) or {}
    if shape == "kto":
        answered = _answered(fields, have)
        label = next((have[name] for name in LABELS if name in have), None)
        return (answered[1] if answered else {}) | ({"label": label} if label else {})
    if shape in FIELDS_OF:
        wanted = zip(FIELDS_OF[shape], (ASKED, ANSWERS), strict=True)
        return {field: have[name] for field, names in wanted if (name := _first((field, *names), have))}
    if shape == "prompts":
        return {"messages": have["messages"]} if "messages" in have else _prompt(have)
    names = TURNS if shape == "messages" else (shape,)
    return {shape: have[name]} if (name := _first(names, have)) else {}


def _answered(fields: Mapping[str, Any], have: Mapping[str, str]) -> Found | None:
    if "messages" in have:
        return ("messages", {"messages": have["messages"]}) if _is_answered(fields[have["messages"]]) else None
    if "conversations" in have:
        return "conversations", {"conversations": have["conversations"]}
    for shape, (asked, answer) in FIELDS_OF.items():
        if asked in have and answer in have:
            return shape, {asked: have[asked], answer: have[answer]}
    for name in TURNS:
        if name in have and _are_turns(fields[have[name]]):
            return ("messages", {"messages": have[name]}) if _is_answered(fields[have[name]]) else None
    answered_in = next((name for name in ANSWERS if name in have and is_answer(fields[have[name]])), None)
    asked_in = _first((*ASKED, *SPEAKERS) if answered_in in ("assistant", "bot") else ASKED, have)
    if answered_in is None or asked_in is None:
        return None
    shape = {"instruction": "alpaca", "definition": "alpaca", "question": "question_answer"}.get(
        asked_in, "prompt_completion"
    )
    return shape, dict(zip(FIELDS_OF[shape], (have[asked_in], have[answered_in]), strict=True))


def is_answer(value: Any) -> bool:
    """Whether a value can be read as an answer: text, a number, accepted texts of which the first counts, or turns."""
    if isinstance(value, dict):
        return any(isinstance(value.get(name), (str, list)) for name in ("text", "value", "content"))
    if isinstance(value, list):
        return bool(value) and (isinstance(value[0], str) or _are_turns(value))
    return isinstance(value, (str, int, float))


def _pair(have: Mapping[str, str]) -> dict[str, str] | None:
    pair = next((pair for pair in PAIRS if pair[0] in have and pair[1] in have), None)
    if pair is None:
        return None
    found = {"chosen": have[pair[0]], "rejected": have[pair[1]]}
    if (name := _first(PAIR_PROMPTS, have)) is not None:
        found[name if name in FIELDS and name != "input" else "prompt"] = have[name]
    return found


def _prompt(have: Mapping[str, str]) -> dict[str, str]:
    name = _first(("prompt", "question", "instruction", "query", "problem"), have)
    return {} if name is None else {name if name in FIELDS else "prompt": have[name]}


def _further(shape: str, columns: Mapping[str, str], rows: Sequence[Row]) -> dict[str, str]:
    """Columns that a row of the shape may have: its system turn, its tools, what stands beside the instruction."""
    have: dict[str, str] = {}
    for row in rows[:1000]:
        have |= {name: column for name, column in _names(row.fields).items() if name not in have}
    found: dict[str, str | None] = {}
    if shape != "text":
        found |= {"system": _first(SYSTEM, have), "tools": _first(("tools",), have)}
    if "instruction" in columns:
        # Dolly's rows: instruction, context, response.
        beside = (
            ("input", "inputs", "context")
            if plain_name(columns.get("output", "")) == "response"
            else ("input", "inputs")
        )
        found |= {"input": _first(beside, have), "history": _first(("history",), have)}
    if shape == "prompts":
        name = _first(REFERENCES, have)
        found |= {name: name} if name is not None else {}
    return {
        field: have[name] for field, name in found.items()
        if name is not None and field not in columns and have[name] not in columns.values()
    }  # fmt: skip


def _names(fields: Mapping[str, Any]) -> dict[str, str]:
    """The row's columns by their plain name. Tables give every row every column: an empty one says nothing."""
    found: dict[str, str] = {}
    for column, value in fields.items():
        if value is not None and (column in FIELDS or plain_name(column) not in found):
            found[plain_name(column)] = column
    return found


def _first(names: Iterable[str], have: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in have), None)


def _labels(value: Any) -> bool:
    return label_of(value) is not None


def _are_turns(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and ("role" in first or "from" in first)


def _is_answered(turns: Any) -> bool:
    """Whether turns end in an answer, or are of no known form, which the reading of the row tells better."""
    last = turns[-1] if isinstance(turns, list) and turns else None
    return not isinstance(last, dict) or last.get("role", last.get("from")) not in ("user", "human")


def _no_shape(rows: Sequence[Row]) -> EngineError:
    first = rows[0]
    names = list(first.fields)
    asked, answer = (names[0], names[1]) if len(names) > 1 else ("question", "reply")
    hint = (
        f"say which column is which: --columns prompt={asked} completion={answer}, "
        f"or in a recipe data.columns: {{prompt: {asked}, completion: {answer}}}"
    )
    if first.unit == "line" and first.source.endswith((".csv", ".tsv")):
        hint += "; the first line of a table names its columns"
    return EngineError(
        f"The rows of {first.source} have no known shape",
        f"{first.place} has the fields: {', '.join(names) or 'none'}",
        hint,
    )
