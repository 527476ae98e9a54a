"""One row by itself, of whatever shape it is."""

from collections.abc import Mapping
from typing import Any

from engine.data.needs import PAIRED
from engine.data.preferences import read_pair
from engine.data.prompts import read_prompt
from engine.data.read import Row
from engine.data.shaped import read_labelled, shape_rows
from engine.data.shapes import CONVERTERS
from engine.data.turns import RowFault
from engine.errors import EngineError


def example_of(fields: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Any:
    """What the row is to learn from or to answer: a Conversation, Passage, Pair or Prompted; None where it's none.

    `columns` is a recipe's: wanted field, column of the file; usual names are known without it.
    """
    try:
        (file,) = shape_rows([Row(dict(fields), "", 0)], "auto", columns or {})
        (row,) = file.rows
        if file.shape in PAIRED:
            return read_pair(row)
        if file.shape == "prompts":
            return read_prompt(row)
        return read_labelled(row)[0] if file.shape == "kto" else CONVERTERS[file.shape](row)
    except (RowFault, EngineError):
        return None
