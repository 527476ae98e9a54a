"""The wizard's state and settings on disk, the models it offers, and what its advice rests on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rung.engine.core.errors import EngineError
from rung.engine.guide.demo import make_demo
from rung.engine.guide.model_choices import (
    LIST_FILE,
    WAYS,
    Room,
    choose_model,
    listed_models,
    memory_needs,
    model_choices,
    shape_from,
)
from rung.engine.guide.wizard import WizardState, change_project, change_recipe, load_wizard, save_wizard
from rung.engine.ladder.board_file import BOARD_VERSION
from rung.engine.ladder.project_facts import count_files, gather_facts
from rung.engine.models.forecast import ModelShape, shape_of_folder
from rung.engine.project.load import load_project
from rung.engine.recipe.load import load_recipe
from rung.tui.wizard.work import add_endpoint, name_documents, split_rows
from tests.helpers.tiny import make_tiny_model
from tests.package.test_imports import HEAVY, loaded_after

ROOM = Room(4 * 2**30, "CPU", "float32")


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return make_demo("format", tmp_path / "demo")


def test_the_state_comes_back_as_it_was_left(tmp_path: Path) -> None:
    assert load_wizard(tmp_path) == WizardState()
    state = WizardState("rag", drafts={"question": "where?"}, retrieval={"questions": 3}).at("tune")
    assert state.page == "tune"
    save_wizard(tmp_path, state)
    assert load_wizard(tmp_path) == state
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"


@pytest.mark.parametrize("text", ["{", '{"page": "nowhere"}', "[]"])
def test_a_damaged_state_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "wizard.json").write_text(text)
    with pytest.raises(EngineError) as raised:
        load_wizard(tmp_path)
    assert "wizard.json" in raised.value.message


def test_settings_are_changed_field_by_field_and_refused_where_they_do_not_fit(demo: Path) -> None:
    before = (demo / "rung.yaml").read_text()
    change_project(demo, {"target": 0.8})
    assert (demo / "rung.yaml").read_text() == before, "nothing changes, so nothing is written"
    changed = change_project(demo, {"target": 0.6, "situation.wants": ["facts"], "few_shot.k": 2})
    assert load_project(demo) == changed
    assert (changed.target, changed.situation.wants, changed.few_shot.k) == (0.6, ["facts"], 2)
    with pytest.raises(EngineError) as raised:
        change_project(demo, {"prompt_template": "no placeholder"})
    assert "prompt_template lacks {question}" in raised.value.details
    assert load_project(demo) == changed


def test_the_recipe_is_changed_in_its_file(demo: Path) -> None:
    change_recipe(demo, "recipes/sft.yaml", {"training.learning_rate": 1e-4, "adapter": None})
    recipe = load_recipe(demo / "recipes" / "sft.yaml")
    assert recipe.training.learning_rate == 1e-4 and recipe.adapter is None


def test_the_listed_models_shapes_give_their_parameters() -> None:
    date, listed = listed_models(ROOM)
    assert date and len(listed) > 5
    for entry in yaml.safe_load(LIST_FILE.read_text())["models"]:
        assert shape_from(entry).parameters == pytest.approx(entry["parameters"], rel=1e-3), entry["name"]
    sizes = [choice.parameters or 0 for choice in listed]
    assert sizes == sorted(sizes)


def test_a_listed_shape_is_that_of_the_files_with_the_same_figures(tmp_path: Path) -> None:
    figures = {"hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 4, "kv_heads": 2, "vocab_size": 264}
    listed, on_disk = shape_from({**figures, "tied": True}), shape_of_folder(make_tiny_model(tmp_path / "tiny"))
    assert sorted(listed.linear) == sorted(on_disk.linear), "names too: they decide where an adapter goes"
    assert memory_needs(listed, ROOM) == memory_needs(on_disk, ROOM)
    assert tuple(memory_needs(listed, ROOM)) == WAYS


def test_a_way_that_has_no_place_in_a_model_is_left_out() -> None:
    experts = ModelShape(4096, (("model.layers.0.moe.w3.weight", 32, 64),), 32, 64, 1, 16, 64)
    assert set(memory_needs(experts, ROOM)) == set(WAYS) - {"bottleneck"}


def test_what_fits_follows_the_memory_and_the_way_of_training() -> None:
    smallest, largest = listed_models(ROOM)[1][0], listed_models(ROOM)[1][-1]
    assert all(smallest.fits(ROOM).values())
    assert not any(largest.fits(ROOM).values())
    assert largest.needs["QLoRA"] < largest.needs["LoRA"] < largest.needs["full"]
    on_gpu = listed_models(replace(ROOM, device="NVIDIA H100"))[1][-1]
    assert all(on_gpu.needs[way] < largest.needs[way] for way in WAYS), "the C library's heap is the CPU's alone"


def test_a_folder_beside_the_project_is_offered_and_taken_with_its_recipe(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (cache / "models--org--begun").mkdir(parents=True)
    kept = make_tiny_model(cache / "models--org--kept" / "snapshots" / ("a" * 40), context=128)
    (cache / "models--org--kept" / "refs").mkdir()
    (cache / "models--org--kept" / "refs" / "main").write_text(kept.name)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    make_tiny_model(demo / "models" / "tiny", context=256)
    (demo / "models" / "tiny" / "README.md").write_text("---\nlicense: mit\n---\n")
    found = {choice.name: choice for choice in model_choices(demo, ROOM)}
    tiny = found["models/tiny"]
    assert (tiny.origin, tiny.licence, tiny.context) == ("folder", "mit", 256)
    assert tiny.parameters and all(tiny.fits(ROOM).values())
    assert found["org/kept"].origin == "hub cache" and found["pocket"].origin == "ships with Rung"
    assert (found["org/kept"].context, found["org/kept"].parameters) == (128, tiny.parameters)
    assert (found["org/begun"].origin, found["org/begun"].parameters) == ("hub", None)
    choose_model(demo, "models/tiny")
    assert load_project(demo).model.name == "models/tiny"
    recipe = load_recipe(demo / "recipes" / "sft.yaml")
    assert (recipe.model.name, recipe.data.max_length) == ("models/tiny", 256)
    with pytest.raises(EngineError):
        choose_model(demo, "./nowhere")


def test_the_advice_names_the_projects_own_figures(demo: Path) -> None:
    project = load_project(demo)
    facts = gather_facts(demo, project)
    rows = sum(1 for _ in (demo / "data" / "train.jsonl").open())
    assert facts.rows["train"] == rows and facts.documents == 1
    assert f"{rows} training rows" in [each.evidence for each in facts.advice]
    retrieval = {"questions": 10, "found": 4, "right_when_found": 4, "right_with_gold_alone": None}
    assert "fix_retrieval" not in [each.action for each in gather_facts(demo, project, retrieval=retrieval).advice]
    named = project.model_copy(update={"data": project.data.model_copy(update={"gold": "document"})})
    told = gather_facts(demo, named, retrieval=retrieval).advice[0]
    assert told.action == "fix_retrieval" and "6 of 10" in told.evidence
    nothing_fits = gather_facts(demo, project, {"LoRA": False, "full": False}).advice
    assert "bigger_machine" in [each.action for each in nothing_fits]


def test_rows_are_split_and_declared_for_project_and_recipe(demo: Path) -> None:
    rows = [{"question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(60)]
    (demo / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(EngineError):
        split_rows(demo, Path("mine.jsonl"))  # The demo's rows are frozen already.
    for path in (demo / "data").iterdir():
        path.unlink()
    split_rows(demo, Path("mine.jsonl"))
    project = load_project(demo)
    assert (project.data.test, project.data.sources) == ("data/test.jsonl", ["mine.jsonl"])
    counted = gather_facts(demo, project).rows
    assert sum(counted.values()) == 60 and counted["test"] > 0
    assert load_recipe(demo / "recipes" / "sft.yaml").data.train == "data/train.jsonl"


def test_what_the_pages_and_the_drill_down_read_loads_nothing_heavy(demo: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "import rung.tui.wizard.screen, rung.tui.scoreboard.screen, rung.engine.ladder.contrast\n"
        "from rung.engine.guide.wizard import load_wizard\n"
        "from rung.tui.wizard.trial import prepare_trial\n"
        "from rung.tui.wizard.view import read_view\n"
        f"root = Path({str(demo)!r})\n"
        "view = read_view(root, load_wizard(root), None)\n"
        "assert len(prepare_trial(root).prompts) == 4 and view.model and view.recipe"
    )
    assert loaded_after(code) & HEAVY == set()


def test_documents_and_endpoints_are_named_or_refused(demo: Path) -> None:
    (demo / "texts").mkdir()
    (demo / "texts" / "a.md").write_text("Words.")
    (demo / "texts" / ".hidden").write_text("no")
    name_documents(demo, "texts")
    documents = load_project(demo).documents
    assert documents is not None and documents.path == "texts" and count_files(demo / "texts") == 1
    with pytest.raises(EngineError):
        name_documents(demo, "nowhere")
    add_endpoint(demo, "http://localhost:8000/v1 org/big MY_KEY")
    (endpoint,) = load_project(demo).endpoints
    assert (endpoint.name, endpoint.model, endpoint.key_variable) == ("big", "org/big", "MY_KEY")
    with pytest.raises(EngineError):
        add_endpoint(demo, "big")


@pytest.mark.parametrize("gold", [None, "document"])
def test_after_a_climb_the_advice_is_the_verdicts_and_retrieval_is_not_mended_for_what_no_document_holds(
    demo: Path, gold: str | None
) -> None:
    shown = {"label": "x", "score": 0.1, "low": 0.06, "high": 0.16, "n": 160, "chosen": True}
    board = {
        "version": BOARD_VERSION,
        "scoreboard": [
            shown | {"candidate": "p", "rung": "prompt"},
            shown | {"candidate": "r", "rung": "rag"},
            shown | {"candidate": "big", "rung": "prompt", "score": 0.95, "chosen": False, "endpoint": "big"},
            shown | {"candidate": "leaky", "rung": "tune", "score": 0.99, "leaked": "learned from 3 held-out rows"},
        ],
        "verdict": {"rung": "none", "candidate": None, "reasons": ["short of it"], "examples_needed": None},
        "retrieval": {"questions": 60, "found": 0, "right_when_found": 0, "right_with_gold_alone": None},
    }
    (demo / "scoreboard.json").write_text(json.dumps(board))
    project = load_project(demo)
    wanted = project.model_copy(
        update={
            "situation": project.situation.model_copy(update={"wants": ["format"]}),
            "data": project.data.model_copy(update={"gold": gold}),
            "target": 0.8,
        }
    )
    advice = gather_facts(demo, wanted).advice
    assert ("fix_retrieval" in [one.action for one in advice]) == (gold is not None)
    assert "the best is the prompt with 0.100 [0.060, 0.160] on 160" in advice[-1].evidence
    assert not {"stop", "prompt", "not_tune"} & {one.action for one in advice}


def test_too_few_held_out_rows_for_the_target_are_said_before_anything_is_measured(tmp_path: Path) -> None:
    from tests.helpers.ladder_project import make_project

    project = make_project(tmp_path, Path("pocket"), counts=(10, 5, 20), metrics=["exact_match"], target=0.9)
    first = gather_facts(tmp_path, project).advice[0]
    assert first.action == "more_examples"
    assert first.evidence == "20 held-out rows can't show a score of 0.9, even if every answer is right; 35 rows could"
