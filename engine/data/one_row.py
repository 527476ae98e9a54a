"""One row by itself, of whatever shape it is."""

from collections.abc import Mapping
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.data.preferences import read_pair
from rung.engine.data.prompts import read_prompt
from rung.engine.data.read import Row
from rung.engine.data.shaped import read_labelled, shape_rows
from rung.engine.data.shapes import CONVERTERS
from rung.engine.data.turns import RowFault
from rung.engine.recipe.data_needs import PAIRED


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
