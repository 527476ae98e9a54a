"""The project page says what the types say."""

from pathlib import Path

from engine.project.page import project_page


def test_the_page_is_generated_from_the_fields() -> None:
    written = Path(__file__).parents[1] / "docs" / "project.md"
    assert written.read_text() == project_page(), "run: python -m engine.project.page > docs/project.md"
