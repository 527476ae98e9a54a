"""Recipes as people write them: faults told at once with their places, overrides, numbers."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.recipe.load import build_recipe, dump_recipe, field_help, load_recipe

GOOD = """\
method: sft
model: {name: pocket}
data: {train: data/train.jsonl}
training:
  learning_rate: 1e-4
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, GOOD)).training.learning_rate == 1e-4


def test_three_faults_are_told_at_once_with_lines_and_nearest_names(tmp_path: Path) -> None:
    text = """\
method: sft
model:
  name: pocket
  dtpe: auto
training:
  learning_rte: 1e-4
data:
  train: x.jsonl
  max_length: -5
"""
    with pytest.raises(EngineError) as caught:
        load_recipe(write(tmp_path, text))
    assert caught.value.message.startswith("3 faults in ")
    assert caught.value.details.splitlines() == [
        "line 4: model.dtpe: unknown field; did you mean dtype?",
        "line 6: training.learning_rte: unknown field; did you mean learning_rate?",
        "line 9: data.max_length: input should be greater than 0 (it is -5)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a recipe"),
        ("- a\n- b\n", "is not a recipe"),
        ("name: mine\ntune:\n  recipe: recipes/sft.yaml\n", "describes a project, not a recipe"),
        ("method: sft\n  model: x\n", "is not valid YAML"),
        ("method: sft\nmethod: dpo\n", "has a field twice"),
        ("method: sfx\nmodel: {name: pocket}\ndata: {train: x}\n", "One fault"),
        ("method: sft\ndata: {train: x}\n", "One fault"),
        ("method: sft\nmodel: {name: pocket, quantization: nf4}\ndata: {train: x}\nadapter: null\n", "One fault"),
        (GOOD + "  output_dir: elsewhere\n", "One fault"),
    ],
)
def test_what_is_no_recipe_is_refused_with_one_message(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=said):
        load_recipe(write(tmp_path, text))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not exist"):
        load_recipe(tmp_path / "none.yaml")


def test_arguments_of_trl_are_accepted_and_checked(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD + "  adam_beta2: 0.95\nsft: {packing: false}\n"))
    assert recipe.training.model_dump()["adam_beta2"] == 0.95
    with pytest.raises(EngineError, match="One fault") as caught:
        load_recipe(write(tmp_path, GOOD + "sft: {los_type: dft}\n"))
    assert "did you mean loss_type?" in caught.value.details


def test_overrides_reach_fields_by_full_and_by_bare_name(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    recipe = load_recipe(path, ["training.learning_rate=2e-5", "max_length=99", "adapter=null", "seed=3"])
    assert (recipe.training.learning_rate, recipe.data.max_length, recipe.adapter, recipe.seed) == (2e-5, 99, None, 3)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed", "has no value"),
        ("every_steps=4", "several blocks have that field"),
        ("learning_rat=4", "no block has that field"),
        ("seed=x", "One fault"),
    ],
)
def test_an_override_that_fits_nothing_is_refused(override: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=said):
        load_recipe(write(tmp_path, GOOD), [override])


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    again = load_recipe(write(tmp_path, dump_recipe(recipe)))
    assert again == recipe
    assert "grpo" not in dump_recipe(recipe)


def test_every_field_has_help() -> None:
    assert field_help("training.learning_rate")
    assert field_help("data.replay.ratio")
    assert field_help("data.nothing") == ""


def test_plain_values_need_no_file() -> None:
    value = {"method": "sft", "model": {"name": "pocket"}, "data": {"train": "x.jsonl"}}
    assert build_recipe(value, "a test").adapter is not None
