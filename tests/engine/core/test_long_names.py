"""A text that is too long for a file's name, or can't be one, is refused in a sentence: it is never an OSError."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.guide.model_choices import choose_model
from rung.engine.jobs.folder import find_run
from rung.engine.models.load import model_source, read_template
from rung.tui.wizard.work import name_documents

TEXTS = ["a" * 300, "null\0character"]


@pytest.mark.parametrize("text", TEXTS, ids=["long", "null"])
def test_what_is_no_path_is_told_as_not_there(tmp_path: Path, text: str) -> None:
    with pytest.raises(EngineError, match="There is no chat template"):
        read_template(text, tmp_path)
    with pytest.raises(EngineError, match="No run is called"):
        find_run(tmp_path, text)
    with pytest.raises(EngineError, match="There are no documents at"):
        name_documents(tmp_path, text)


def test_a_model_s_name_that_is_too_long_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no model folder"):
        model_source("a" * 300, tmp_path)
    with pytest.raises(EngineError):
        choose_model(tmp_path, "a" * 300)
