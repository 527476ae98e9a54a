"""The recipe page says what the types say."""

from pathlib import Path

from engine.recipe.page import recipes_page


def test_the_page_is_generated_from_the_fields() -> None:
    written = Path(__file__).parents[1] / "docs" / "recipes.md"
    assert written.read_text() == recipes_page(), "run: python -m engine.recipe.page > docs/recipes.md"
