"""The recipe page says what the types say."""

from rung.engine.training.recipe_page import recipes_page
from tests.helpers.program import ROOT


def test_the_page_is_generated_from_the_fields() -> None:
    written = ROOT / "docs" / "recipes.md"
    assert written.read_text() == recipes_page(), "run: python -m rung.engine.training.recipe_page > docs/recipes.md"
