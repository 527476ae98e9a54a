"""Runs named by the recipe they were started from: in `start_from`, and as a reward model."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.recipe.load import dump_recipe, load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.training.named_runs import named_run, with_runs_named
from tests.helpers.method_runs import make_recipe
from tests.helpers.trained_runs import make_project, put_run


def finished(root: Path, run: str, recipe: Recipe) -> None:
    (put_run(root, run, recipe, forgot=None).path / "adapter").mkdir()


def recipe_file(root: Path, name: str, recipe: Recipe) -> str:
    (root / name).write_text(dump_recipe(recipe))
    return name


def test_a_recipe_s_file_stands_for_its_newest_finished_run(tmp_path: Path) -> None:
    make_project(tmp_path)
    recipe = make_recipe("reward", "tiny")
    file = recipe_file(tmp_path, "reward.yaml", recipe)
    for run in ("20260101-000000-reward-aaaa", "20260102-000000-reward-bbbb"):
        finished(tmp_path, run, recipe.model_copy(update={"tags": ["by-hand"]}))
    finished(tmp_path, "20260103-000000-reward-cccc", recipe.model_copy(update={"seed": 7}))
    put_run(tmp_path, "20260104-000000-reward-dddd", recipe)
    assert named_run(tmp_path, file).id == "20260102-000000-reward-bbbb", "another seed, or no result, is another run"
    grpo = make_recipe("grpo", "tiny", grpo={"rewards": [{"name": "model", "run": file}, {"name": "exact"}]})
    named = with_runs_named(grpo, tmp_path)
    assert named.grpo["rewards"] == [{"name": "model", "run": "20260102-000000-reward-bbbb"}, {"name": "exact"}]
    assert grpo.grpo["rewards"][0]["run"] == file, "the recipe that was given stays as it is"


def test_a_chain_of_recipes_is_followed(tmp_path: Path) -> None:
    make_project(tmp_path)
    first = recipe_file(tmp_path, "cpt.yaml", make_recipe("cpt", "tiny"))
    second = recipe_file(tmp_path, "sft.yaml", make_recipe("sft", "tiny", start_from=f"run:{first}"))
    finished(tmp_path, "20260101-000000-cpt-aaaa", load_recipe(tmp_path / first))
    finished(tmp_path, "20260102-000000-sft-bbbb", with_runs_named(load_recipe(tmp_path / second), tmp_path))
    third = make_recipe("dpo", "tiny", start_from=f"run:{second}")
    assert with_runs_named(third, tmp_path).start_from == "run:20260102-000000-sft-bbbb"
    assert with_runs_named(third.model_copy(update={"start_from": "run:last"}), tmp_path).start_from == (
        "run:20260102-000000-sft-bbbb"
    )


def test_a_recipe_that_was_never_run_is_told(tmp_path: Path) -> None:
    make_project(tmp_path)
    file = recipe_file(tmp_path, "reward.yaml", make_recipe("reward", "tiny"))
    with pytest.raises(EngineError, match="no finished run of reward.yaml") as caught:
        named_run(tmp_path, file)
    assert "rung run reward.yaml" in str(caught.value.hint)
