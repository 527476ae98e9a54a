"""The project page says what the types say."""

from rung.engine.project.page import project_page
from tests.helpers.program import ROOT


def test_the_page_is_generated_from_the_fields() -> None:
    written = ROOT / "docs" / "project.md"
    assert written.read_text() == project_page(), "run: python -m rung.engine.project.page > docs/project.md"
