"""The rows in a JSON value: a list's items, a table written column by column, or a known way of nesting them."""

from collections.abc import Sequence
from typing import Any

from rung.engine.core.errors import EngineError

_ANSWER_NAMES = {"output", "outputs", "answer", "response", "target", "targets", "completion"}


def rows_in(value: Any, source: str) -> list[Any]:
    """The rows of a JSON file; what is none of the known forms is one row. Raises EngineError for columns that differ.

    Known are a list of rows, by itself or as the only list of an object; columns (`{"prompt": […], "answer": […]}`),
    pandas' own ways of writing a table; SQuAD's paragraphs; a task of natural instructions.
    """
    if isinstance(value, list):
        return _squad(value) or value
    if not isinstance(value, dict) or not value:
        return [value]
    table = _from_task(value) or _from_split(value) or _from_columns(value, source)
    if table is not None:
        return table
    lists = [item for item in value.values() if isinstance(item, list)]
    if len(lists) == 1 and not are_turns(lists[0]) and all(isinstance(item, dict) for item in lists[0][:1]):
        return _squad(lists[0]) or lists[0]
    return [value]


def expanded(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The examples of a row that holds several instances of one instruction; any other row as it is."""
    names = {name.casefold(): name for name in row}
    asked = names.get("instruction") or names.get("definition")
    instances = row.get(names.get("instances", ""))
    if asked is None or not isinstance(instances, list) or not instances or not all(map(_is_instance, instances)):
        return [row]
    rest = {name: value for name, value in row.items() if name != names["instances"]}
    return [rest | instance for instance in instances]


def are_turns(value: Any) -> bool:
    """Whether a value is a list of chat turns."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and ("role" in first or "from" in first)


def _is_instance(value: Any) -> bool:
    return isinstance(value, dict) and not _ANSWER_NAMES.isdisjoint(name.casefold() for name in value)


def _from_task(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The instances of a file that is one task, with its definition; what else is said of the task is left out."""
    if "Definition" not in value or "Instances" not in value:
        return None
    return expanded({"definition": value["Definition"], "instances": value["Instances"]})


def _from_split(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """pandas' orient="split": {columns: […], index: […], data: [[…], …]}."""
    columns, data = value.get("columns"), value.get("data")
    if not isinstance(columns, list) or not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        return None
    return [dict(zip(map(str, columns), row, strict=False)) for row in data]


def _from_columns(value: dict[str, Any], source: str) -> list[dict[str, Any]] | None:
    """A table written column by column, as lists or, as pandas does, as objects by row number."""
    columns = list(value.values())
    if all(isinstance(column, dict) and column for column in columns):
        numbers = list(columns[0])
        if not all(number.isdigit() for number in numbers) or any(list(column) != numbers for column in columns):
            return None
        return [{name: column[number] for name, column in value.items()} for number in numbers]
    if not all(isinstance(column, list) and column and not are_turns(column) for column in columns):
        return None
    if all(isinstance(item, dict) for column in columns for item in column):
        return None
    lengths = {name: len(column) for name, column in value.items()}
    if len({*lengths.values()}) > 1:
        raise EngineError(
            f"{source} is a table written column by column, and its columns differ in length",
            ", ".join(f"{name}: {length}" for name, length in lengths.items()),
            "give every column a value for each row, or write one object a row",
        )
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _squad(articles: Sequence[Any]) -> list[dict[str, Any]]:
    """The questions of SQuAD's articles, each with its paragraph; none where these are none."""
    if not all(isinstance(article, dict) and isinstance(article.get("paragraphs"), list) for article in articles):
        return []
    return [
        {"title": article.get("title"), "context": paragraph.get("context"), **asked, "answers": _texts(asked)}
        for article in articles
        for paragraph in article["paragraphs"]
        if isinstance(paragraph, dict)
        for asked in paragraph.get("qas") or []
        if isinstance(asked, dict)
    ]


def _texts(asked: dict[str, Any]) -> list[Any]:
    return [answer.get("text") for answer in asked.get("answers") or [] if isinstance(answer, dict)]
