"""A job whose models are not on this machine is refused at once, or fetches them first where that is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rung.engine.training.launch
from rung.engine.core.errors import EngineError
from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import change_project
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.launch import climb_folder, start_climb, start_evaluation
from rung.engine.ladder.spec import base_spec
from rung.engine.project.load import build_project, load_project
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.training.models_wanted import (
    MissingModels,
    missing_models,
    models_of_answers,
    models_of_project,
    models_of_recipe,
)
from rung.tui.shell.app import RungApp
from rung.tui.shell.dialogs import ConfirmDialog
from tests.conftest import Ran
from tests.helpers.on_screen import NARROW, WIDE, shown, until

Cli = Callable[..., Ran]
ENDPOINT = {"name": "big", "url": "http://localhost:1", "model": "m"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A project on a hub model that is not here; its recipe says so too."""
    root = make_demo("format", tmp_path / "demo")
    change_project(root, {"model.name": "org/tiny"})
    recipe = root / "recipes" / "sft.yaml"
    recipe.write_text(recipe.read_text().replace("name: pocket", "name: org/tiny"))
    return root


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of workers that were started; none really is."""
    kinds: list[str] = []

    def spawn(kind: str, *_arguments: Any, **_options: Any) -> None:
        kinds.append(kind)

    monkeypatch.setattr("rung.engine.training.launch.spawn_worker", spawn)
    monkeypatch.setattr("rung.engine.ladder.launch.spawn_worker", spawn)
    return kinds


def recipe_of(method: str, block: dict[str, Any] | None = None) -> Any:
    value = {"method": method, "model": {"name": "pocket"}, "data": {"train": "rows.jsonl"}}
    return build_recipe(value | ({method: block} if block else {}), "here")


BLOCKS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "teacher and judge": (
        "distill",
        {"teacher": {"model": {"name": "org/teacher", "revision": "v2"}}, "judge": {"model": {"name": "org/judge"}}},
        ["rung fetch org/teacher --revision v2", "rung fetch org/judge"],
    ),
    "a service teaches": ("distill", {"teacher": {"endpoint": ENDPOINT}}, []),
    "a judge of principles": (
        "constitution",
        {"principles": "p.txt", "judge": {"model": {"name": "org/judge", "trust_remote_code": True}}},
        ["rung fetch org/judge --code"],
    ),
    "the model judges itself": ("constitution", {"principles": "p.txt"}, []),
    "a reward model": (
        "grpo", {"rewards": ["numeric_answer", {"name": "model", "path": "org/reward"}]}, ["rung fetch org/reward"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "block", "commands"), BLOCKS.values(), ids=BLOCKS)
def test_the_models_of_a_methods_block_are_wanted_too(
    method: str, block: dict[str, Any], commands: list[str], tmp_path: Path
) -> None:
    missing = missing_models(models_of_recipe(recipe_of(method, block), tmp_path), tmp_path)
    assert [model.fetch_command for model in missing] == commands


def test_the_model_below_a_reward_run_is_wanted(tmp_path: Path) -> None:
    from rung.engine.jobs.folder import new_run_folder
    from rung.engine.recipe.load import dump_recipe

    run = new_run_folder(tmp_path, "reward")
    value = {"method": "reward", "model": {"name": "org/base"}, "data": {"train": "rows.jsonl"}}
    run.recipe.write_text(dump_recipe(build_recipe(value, "here")))
    recipe = recipe_of("rloo", {"rewards": [{"name": "model", "run": run.id}]})
    assert [model.name for model in models_of_recipe(recipe, tmp_path)] == ["pocket", "org/base"]


def test_a_reward_model_that_the_climb_trains_first_need_not_be_there_yet(tmp_path: Path) -> None:
    root = make_demo("preference", tmp_path / "demo")
    wanted = models_of_project(load_project(root), root, rag=True, tune=True)
    assert {model.name for model in wanted} == {"pocket"} and not missing_models(wanted, root)


def test_a_climb_wants_embedding_model_judge_and_its_recipes_models(demo: Path) -> None:
    documents = {"path": "docs", "kind": "dense", "embedding_model": "org/embeds"}
    judge = {"model": {"name": "org/judge"}, "criterion": "better"}
    project = build_project(
        load_project(demo).model_dump(by_alias=True) | {"documents": documents, "judge": judge}, "here"
    )

    def wanted(**rungs: bool) -> list[str]:
        return [model.name for model in missing_models(models_of_project(project, demo, **rungs), demo)]

    assert wanted(rag=True, tune=True) == ["org/tiny", "org/judge", "org/embeds"]
    assert wanted(rag=False, tune=True) == ["org/tiny", "org/judge"]
    fields = [model.field for model in models_of_project(project, demo, rag=False, tune=True)]
    assert fields == ["model.name", "judge.model.name", "model.name"], "the recipe's model too"
    by_words = RetrievalSettings(path="docs")
    assert [m.name for m in models_of_answers(project.model, by_words, project)] == ["org/tiny", "org/judge"]


def test_a_folder_that_is_not_there_is_no_matter_for_the_hub(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no model folder") as refused:
        missing_models(
            models_of_recipe(recipe_of("distill", {"teacher": {"model": {"name": "./big"}}}), tmp_path), tmp_path
        )
    assert not isinstance(refused.value, MissingModels)


@pytest.mark.parametrize("command", [("run", "recipes/sft.yaml"), ("climb",), ("climb", "--rung", "tune"), ("eval",)])
def test_the_command_line_refuses_at_once_and_fetches_where_asked(
    command: tuple[str, ...], demo: Path, cli: Cli, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    refused = cli(*command)
    assert refused.code == 2
    assert "org/tiny is not on this machine" in refused.err
    assert "rung fetch org/tiny brings it; or start with --fetch" in refused.err
    assert started == []
    assert not (demo / "runs").exists() and not list(demo.glob("evaluations/*"))


def test_with_fetch_the_job_starts(demo: Path, started: list[str]) -> None:
    from rung.engine.recipe.load import load_recipe
    from rung.engine.training.launch import start_run

    start_run(load_recipe(demo / "recipes" / "sft.yaml"), demo, fetch=True)
    start_climb(demo, fetch=True)
    start_evaluation(demo, [base_spec(load_project(demo))], "test", fetch=True)
    assert started == ["train", "evaluate", "evaluate"]


def test_an_endpoint_alone_wants_no_model(demo: Path, started: list[str]) -> None:
    change_project(demo, {"endpoints": [ENDPOINT]})
    spec = base_spec(load_project(demo)).model_copy(update={"endpoint": "big"})
    start_evaluation(demo, [spec], "test")
    assert started == ["evaluate"]


async def test_a_screen_asks_with_one_key_whether_the_run_may_fetch(
    demo: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rung.tui.shell import run_actions

    asked: list[bool] = []
    real = rung.engine.training.launch.start_run

    def start(recipe: Recipe, root: Path, *, fetch: bool) -> RunFolder:
        asked.append(fetch)
        return real(recipe, root, fetch=fetch)

    monkeypatch.setattr("rung.engine.training.launch.start_run", start)
    app = RungApp(demo)
    opened: list[Any] = []
    monkeypatch.setattr(app, "open_run", opened.append)
    async with app.run_test(size=NARROW) as pilot:
        run_actions.start(app, demo / "recipes" / "sft.yaml")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "org/tiny is not on this machine" in shown(app)
        await pilot.press("y")
        await until(pilot, lambda: opened)
    assert (asked, started) == ([False, True], ["train"])


async def test_a_measurement_in_the_wizard_asks_too_and_no_starts_nothing(demo: Path, started: list[str]) -> None:
    app = RungApp(demo, start="wizard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "Why here" in shown(app))
        app.screen._measure("prompt")  # type: ignore[attr-defined]
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
    assert started == []
    assert not climb_folder(demo).events.exists()
