"""Rates, epochs and lengths that nobody chose follow the method, what is trained, the model and the rows."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from rung.engine.guide.model_choices import choose_model
from rung.engine.guide.new import write_new_project
from rung.engine.guide.wizard import change_project, change_recipe
from rung.engine.project.follow import YOUR_CHOICE, advised_for, followed, load_fitted
from rung.engine.project.load import load_project
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.rates import RATES, epochs, learning_rate
from rung.engine.recipe.schema import AdapterSettings, DataSettings, Method, Recipe, TrainingSettings
from rung.engine.training.recipe_page import recipes_page
from rung.engine.training.recommended_recipe import recommended_recipe, write_recipe
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_tiny_model

METHODS: tuple[Method, ...] = get_args(Method)
RECIPES = ROOT / "recipes"
LARGE, SMALL = "org/of-unknown-size", "pocket"
FILE = "recipes/sft.yaml"


def recommended(method: Method, name: str, in_full: bool, rows: int | None = None) -> Recipe:
    from rung.engine.models.model_facts import model_facts
    from rung.engine.recipe.schema import ModelSettings

    facts = model_facts(name, Path())
    return recommended_recipe(ModelSettings(name=name), facts, DataSettings(train="t"), rows, method, in_full).recipe


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of the pocket model with a recipe as `rung new` writes it."""
    rows = [{"prompt": f"Say {number}", "completion": str(number)} for number in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_new_project(tmp_path / "p", "pocket", tmp_path / "rows.jsonl").root


def training(root: Path) -> tuple[float, float]:
    found = load_recipe(root / FILE).training
    return found.learning_rate, found.num_train_epochs


def line(root: Path, field: str) -> str:
    return next(each for each in (root / FILE).read_text().splitlines() if each.strip().startswith(f"{field}:"))


def test_the_table_has_every_method_and_small_models_take_larger_steps() -> None:
    assert set(RATES) == set(METHODS)
    for method, rates in RATES.items():
        assert rates.small_adapter > rates.adapter > rates.full and rates.small_adapter > rates.small_full > rates.full
        assert f"| `{method}` | {rates.adapter:g} | {rates.full:g} | {rates.small_adapter:g} " in recipes_page()


@pytest.mark.parametrize("method", METHODS)
def test_a_new_recipe_has_the_tables_rate_for_its_model(method: Method) -> None:
    rates = RATES[method]
    found = {
        (name, in_full): recommended(method, name, in_full).training.learning_rate
        for name, in_full in product((LARGE, SMALL), (False, True))
    }
    assert found == {
        (LARGE, False): rates.adapter, (LARGE, True): rates.full,
        (SMALL, False): rates.small_adapter, (SMALL, True): rates.small_full,
    }  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [(a, b) for a, b in product(METHODS, METHODS) if a != b])
@pytest.mark.parametrize("name", [LARGE, SMALL])
def test_from_method_to_method_what_was_recommended_follows_and_what_was_chosen_stays(
    before: Method, after: Method, name: str, tmp_path: Path
) -> None:
    old, new = recommended(before, name, False), recommended(after, name, False)
    changed = old.model_copy(update={"method": after})
    values = followed(old, changed, tmp_path)
    assert values.get("training.learning_rate", old.training.learning_rate) == new.training.learning_rate
    assert values.get("training.num_train_epochs", old.training.num_train_epochs) == new.training.num_train_epochs
    chosen = TrainingSettings(learning_rate=7.7e-5, num_train_epochs=11)
    mine = [each.model_copy(update={"training": chosen}) for each in (old, changed)]
    assert followed(mine[0], mine[1], tmp_path) == {}


def test_the_documented_values_of_the_wizards_own_choices(tmp_path: Path) -> None:
    root = write_new_project(tmp_path / "p", LARGE).root
    assert training(root) == (2e-4, 2.0)
    change_recipe(root, FILE, {"method": "dpo"})
    assert training(root) == (5e-6, 1.0)
    change_recipe(root, FILE, {"adapter": None})
    assert training(root) == (1e-6, 1.0)
    change_recipe(root, FILE, {"method": "sft"})
    assert training(root) == (1e-5, 2.0)


def test_a_small_models_recipe_follows_with_its_reasons_until_a_person_chooses(project: Path) -> None:
    assert training(project) == (3e-3, 3.0)
    assert "below 50 million weights" in line(project, "learning_rate")
    assert "passes below 1,000" in line(project, "num_train_epochs")
    change_recipe(project, FILE, {"method": "kto"})
    assert training(project) == (RATES["kto"].small_adapter, 1.0)
    assert "passes over the training rows" in line(project, "num_train_epochs")
    change_recipe(project, FILE, {"training.learning_rate": 7.7e-5})
    assert line(project, "learning_rate").endswith(f"# {YOUR_CHOICE}")
    change_recipe(project, FILE, {"method": "sft", "adapter": None})
    assert training(project) == (7.7e-5, 3.0), "a chosen rate is kept, the epochs follow"
    change_recipe(project, FILE, {"training.learning_rate": None})
    assert training(project) == (RATES["sft"].small_full, 3.0), "nothing written is the recommended one again"
    assert "below 50 million weights" in line(project, "learning_rate")


def test_a_value_edited_in_the_file_is_a_persons_too(project: Path) -> None:
    file = project / FILE
    file.write_text(file.read_text().replace("num_train_epochs: 3.0", "num_train_epochs: 4   # mine"))
    change_recipe(project, FILE, {"method": "orpo"})
    assert training(project) == (RATES["orpo"].small_adapter, 4)
    assert line(project, "num_train_epochs").startswith("  num_train_epochs: 4   # mine")


def test_another_model_takes_its_own_rate_length_and_template_and_leaves_how_models_are_loaded(project: Path) -> None:
    make_tiny_model(project / "bare", context=128, chat_template=None)
    change_recipe(project, FILE, {"model.dtype": "float32", "model.trust_remote_code": True})
    change_project(project, {"model.attention": "eager"})
    choose_model(project, LARGE)
    recipe = load_recipe(project / FILE)
    assert (recipe.model.name, recipe.model.dtype, recipe.model.trust_remote_code) == (LARGE, "float32", False)
    assert training(project) == (2e-4, 3.0)
    choose_model(project, "bare")
    recipe = load_recipe(project / FILE)
    assert training(project) == (3e-3, 3.0)
    assert (recipe.data.max_length, recipe.model.chat_template) == (128, "plain")
    assert load_project(project).model.attention == "eager"
    choose_model(project, "pocket")
    recipe = load_recipe(project / FILE)
    assert (recipe.data.max_length, recipe.model.chat_template) == (1024, None)
    change_recipe(project, FILE, {"data.max_length": 300, "model.chat_template": "chatml"})
    choose_model(project, LARGE)
    recipe = load_recipe(project / FILE)
    assert (recipe.data.max_length, recipe.model.chat_template) == (300, "chatml"), "chosen, so kept"
    choose_model(project, "bare")
    assert load_recipe(project / FILE).data.max_length == 128, "the model reads no more"


@pytest.mark.parametrize("written", ["  learning_rate: null\n  num_train_epochs: null\n", "  max_steps: -1\n"])
def test_what_a_recipe_leaves_out_is_the_recommended_value_for_its_model_and_rows(tmp_path: Path, written: str) -> None:
    (tmp_path / "t.jsonl").write_text("{}\n" * 1_200)
    file = tmp_path / "r.yaml"
    file.write_text(f"method: sft\nmodel: {{name: pocket}}\ndata: {{train: t.jsonl}}\ntraining:\n{written}")
    found = load_fitted(file).training
    assert (found.learning_rate, found.num_train_epochs) == (RATES["sft"].small_adapter, 2.0)
    found = load_fitted(file, ["method=dpo", "adapter=null"]).training
    assert (found.learning_rate, found.num_train_epochs) == (RATES["dpo"].small_full, 1.0)
    text = file.read_text()
    change_recipe(tmp_path, "r.yaml", {"method": "dpo"})
    assert file.read_text() == text.replace("method: sft", "method: dpo"), "left out, and still left out"


def test_the_command_lines_overrides_follow_as_the_wizards_changes_do(project: Path) -> None:
    file = project / FILE
    found = load_fitted(file, ["method=dpo"]).training
    assert (found.learning_rate, found.num_train_epochs) == (RATES["dpo"].small_adapter, 1.0)
    assert load_fitted(file, ["method=dpo", "learning_rate=3e-3"]).training.learning_rate == 3e-3
    assert load_fitted(file, [f"model.name={LARGE}"]).training.learning_rate == RATES["sft"].adapter


def test_a_shipped_recipes_comment_names_the_tables_rates() -> None:
    seen = set()
    for file in RECIPES.glob("*.yaml"):
        text = file.read_text()
        found = re.search(r"learning_rate: null +# null: .*: (\S+) below 50 million weights, else (\S+)$", text, re.M)
        if found is None:
            continue
        recipe = load_recipe(file)
        in_full = recipe.adapter is None
        rates = learning_rate(recipe.method, in_full, 1), learning_rate(recipe.method, in_full)
        assert (float(found[1]), float(found[2])) == rates, file.name
        seen.add(recipe.method)
    assert seen == set(METHODS)


EVERYWHERE = """# before all
name: "my recipe"   # a name
# before the method
method: sft # behind the method
model:  # behind model
  # in model
  name: 'pocket'  # behind the name
  quantization: none   # behind quantization
  # model's last
# before the adapter
adapter:      # behind adapter
  # in adapter
  r: 8        # behind r
  kind: "lora"  # behind kind

  target_modules:   # behind target_modules
    # before q
    - q_proj  # behind q
    - 'v_proj'  # behind v
  # adapter's last
# before data
data:
    train: data/train.jsonl # behind train
    replay: {source: self, ratio: 0.0} # behind replay
    # data's last
# before training
training:
  weight_decay: 0.01 # behind weight_decay
  learning_rate: 3.0e-3 # behind the rate
  # between
  num_train_epochs: 3 # behind epochs
# the end
"""


def comments(text: str) -> set[str]:
    """Every comment of a text in which no value holds a #."""
    return {found.strip() for found in re.findall(r"#.*", re.sub(r"#\| ?", "", text)) if found.strip()}


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dpo"},
        {"adapter": None, "model.quantization": "none"},
        {"adapter.kind": "dora", "model.quantization": "nf4"},
        {"training.learning_rate": 1e-4, "training.num_train_epochs": 9},
        {"data.replay.ratio": 0.1, "data.train": "data/test.jsonl", "data.validation": "data/validation.jsonl"},
        {"model.name": LARGE, "model.revision": "main"},
    ],
    ids=str,
)
def test_every_comment_of_a_persons_is_there_after_a_change_and_the_change_back(
    project: Path, changes: dict[str, Any]
) -> None:
    file = project / FILE
    file.write_text(EVERYWHERE)
    before = load_recipe(file)
    change_recipe(project, FILE, changes)
    text = file.read_text()
    assert comments(text) == comments(EVERYWHERE)
    after = load_recipe(file)
    for name, value in changes.items():
        found: Any = after.model_dump()
        for key in name.split("."):
            found = found[key]
        assert found == value
    if "adapter" in changes:
        change_recipe(project, FILE, {"adapter": AdapterSettings(kind="lora")})
        assert load_recipe(file) == before and file.read_text() == EVERYWHERE.replace("3.0e-3", "0.003")


def test_the_projects_file_is_edited_in_place_too(project: Path) -> None:
    file = project / "rung.yaml"
    text = file.read_text().replace("target: null", "target: ~ # behind it")
    text = re.sub(r"^system_prompt: null.*$", "system_prompt: |  # behind the prompt\n  Be brief.\n", text, flags=re.M)
    text = text.replace("documents: null", "documents: null  # in the end").replace(
        "wants: []", "wants: [  # before it\n  ]"
    )
    file.write_text("# before all\n" + text)
    kept = comments(file.read_text())
    assert {"# behind the prompt", "# before it", "# before all"} <= kept
    changes = {
        "target": 0.5,
        "system_prompt": "Be very\nbrief.",
        "documents.path": "docs",
        "situation.wants": ["facts"],
    }
    changed = change_project(project, changes)
    assert (changed.target, changed.system_prompt) == (0.5, "Be very\nbrief.")
    assert changed.documents is not None and changed.documents.path == "docs" and changed.situation.wants == ["facts"]
    assert kept <= comments(file.read_text()) and load_project(project) == changed
    assert "  Be very\n  brief." in file.read_text(), "a text over several lines stays one"


def test_what_is_advised_is_counted_from_the_files_there_are(project: Path) -> None:
    recipe = load_recipe(project / FILE)
    assert advised_for(recipe, project)["training.num_train_epochs"].value == 3.0
    (project / "data" / "train.jsonl").write_text("{}\n" * 20_000)
    assert advised_for(recipe, project)["training.num_train_epochs"].value == epochs("sft", 20_000) == 1.0
    away = recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": "./gone"})})
    assert advised_for(away, project)["training.learning_rate"].value == RATES["sft"].adapter
    write_recipe(project, recommended_recipe(recipe.model, *_facts(project), method="reward"))
    assert training(project) == (RATES["reward"].small_adapter, 1.0)


def _facts(root: Path) -> tuple[Any, DataSettings]:
    from rung.engine.models.model_facts import model_facts

    return model_facts("pocket", root), DataSettings(train="data/train.jsonl")
