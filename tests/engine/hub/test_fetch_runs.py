"""Runs whose model is a hub id: brought by the same code as rung fetch, told as events, stopped and gone on with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.engine.check.search import ask_documents
from rung.engine.core.files import iterate_json_lines, read_json
from rung.engine.generation.client import Decoding, Lineup, compare_once
from rung.engine.hub.cache import bytes_begun
from rung.engine.jobs.requests import request
from rung.engine.recipe.schema import Recipe
from rung.engine.training.launch import resume_run, start_run
from rung.engine.training.models_wanted import MissingModels
from tests.engine.training.test_training import recipe_for, write_project
from tests.helpers.small_hub import Repository, SmallHub, ended, held_at, small_hub, use_hub
from tests.helpers.tiny import make_tiny_model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with small_hub() as serving:
        use_hub(serving, tmp_path, monkeypatch)
        yield serving


@pytest.fixture
def tiny_on_hub(hub: SmallHub, tmp_path: Path) -> str:
    hub.repositories["org/tiny"] = Repository.of_folder(make_tiny_model(tmp_path / "tiny"))
    return "org/tiny"


def hub_recipe(model: str) -> Recipe:
    return recipe_for(Path(model), training={"max_steps": 2})


def test_a_run_brings_its_model_and_tells_it(tiny_on_hub: str, hub: SmallHub, tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    with pytest.raises(MissingModels, match="org/tiny is not on this machine"):
        start_run(hub_recipe(tiny_on_hub), root)
    assert not (root / "runs").exists()
    folder = start_run(hub_recipe(tiny_on_hub), root, fetch=True)
    state = ended(folder)
    assert state.status == "finished", state.result
    kinds = [event["type"] for event in iterate_json_lines(folder.events)]
    assert kinds.index("phase") < kinds.index("queued"), "no device is held while the model comes"
    told = [event for event in iterate_json_lines(folder.events) if event.get("name") == "download"]
    size = len(hub.repositories[tiny_on_hub].files["model.safetensors"])
    assert told and told[-1]["done"] == told[-1]["total"] > size and told[-1]["unit"] == "bytes"
    assert state.forecast["parts"]["weights"] > 0, "the forecast is made from the files that were brought"
    artifact = folder.artifact()
    assert artifact is not None
    assert read_json(artifact / "adapter_config.json")["base_model_name_or_path"] == tiny_on_hub
    # The hub is not needed a second time, though nothing says that there is none.
    asked = len(hub.asked)
    again = start_run(hub_recipe(tiny_on_hub), root)
    assert ended(again).status == "finished"
    assert [(method, path) for method, path, _ in hub.asked[asked:]] == []
    assert not any(event.get("name") == "download" for event in iterate_json_lines(again.events))


@pytest.mark.slow
def test_a_run_can_be_stopped_while_its_model_comes_and_gone_on_with(
    tiny_on_hub: str, hub: SmallHub, tmp_path: Path
) -> None:
    root = write_project(tmp_path / "project")
    hub.hold_after = 20_000
    folder = start_run(hub_recipe(tiny_on_hub), root, fetch=True)
    held_at(folder, 20_000)
    request(folder, "stop")
    stopped = ended(folder)
    assert stopped.status == "stopped"
    assert bytes_begun(tiny_on_hub) >= 20_000
    hub.hold_after = None
    resume_run(folder)
    state = ended(folder, stopped.sequence)
    assert state.status == "finished", state.result
    assert str(hub.downloads()[-1]["range"]).startswith("bytes=")


def test_a_run_on_a_gated_model_says_what_to_do(tiny_on_hub: str, hub: SmallHub, tmp_path: Path) -> None:
    hub.repositories[tiny_on_hub].gated = True
    root = write_project(tmp_path / "project")
    state = ended(start_run(hub_recipe(tiny_on_hub), root, fetch=True))
    assert state.status == "failed" and f"{tiny_on_hub} is gated" in state.result["message"]
    assert "accept the licence" in state.result["hint"]


@pytest.mark.slow
def test_compare_tells_the_download_of_its_base(tiny_on_hub: str, hub: SmallHub, tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    lineup = Lineup({"name": tiny_on_hub}, tmp_path)
    asked = [[{"role": "user", "content": "Where?"}]]
    compare_once(lineup, asked, Decoding(max_new_tokens=2), tmp_path / "compare.log", None, said.append)
    told = [message for message in said if message["type"] == "phase" and message["name"] == "download"]
    size = len(hub.repositories[tiny_on_hub].files["model.safetensors"])
    assert told[0]["done"] < size
    assert told[-1]["done"] == told[-1]["total"] > size
    assert {(message["id"], message["unit"]) for message in told} == {(1, "bytes")}
    kinds = [message["type"] for message in said]
    assert kinds.index("phase") < kinds.index("ready")


def asked_events(root: Path) -> list[dict[str, Any]]:
    """What a question to the project's documents tells before its answer, from a worker of its own."""
    told: list[dict[str, Any]] = []
    answer = ask_documents(root, "Where is the otter?", tell=told.append)
    assert (answer["chunks"], [hit["text"] for hit in answer["hits"]]) == (1, ["The otter lives by the river."])
    return told


def test_a_question_tells_the_download_of_its_embedding_model(tiny_on_hub: str, hub: SmallHub, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "documents").mkdir(parents=True)
    (root / "documents" / "otter.txt").write_text("The otter lives by the river.")
    (root / "rung.yaml").write_text(
        f"name: otters\nmodel: {{name: pocket}}\n"
        f"documents:\n  path: documents\n  kind: dense\n  embedding_model: {tiny_on_hub}\n"
    )
    files = hub.repositories[tiny_on_hub].files
    files["modules.json"] = b'[{"type": "sentence_transformers.models.Pooling"}]'
    files["1_Pooling/config.json"] = b'{"pooling_mode_cls_token": true}'
    events = asked_events(root)
    names = [event["name"] for event in events if event["type"] == "phase"]
    assert list(dict.fromkeys(names)) == ["index", "download", "load"], names
    told = [event for event in events if event.get("name") == "download"]
    assert told[0]["done"] < len(files["model.safetensors"])
    assert told[-1]["done"] == told[-1]["total"] == sum(map(len, files.values()))
    assert {event["unit"] for event in told} == {"bytes"}
    # It lies here whole: the hub is not asked again.
    asked = len(hub.asked)
    assert [event["name"] for event in asked_events(root) if event.get("name") == "download"] == []
    assert len(hub.asked) == asked
