"""rung.yaml and new projects: every fault told, every knob commented, nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.engine.core.commented_yaml import commented_yaml
from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines
from rung.engine.guide.new import write_new_project
from rung.engine.project import is_project, project_root
from rung.engine.project.load import build_project, load_project, save_project
from rung.engine.project.schema import ProjectData, ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.rates import RATES
from rung.engine.recipe.schema import ModelSettings
from rung.engine.splits.make import read_splits
from tests.conftest import Ran
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a context of 128 tokens and no chat template."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "bare", context=128, chat_template=None)


@pytest.fixture
def train_file(tmp_path: Path) -> Path:
    lines = [{"instruction": f"Say {word} {number}", "input": "", "output": word} for number, word in
             enumerate(["apple", "bread", "candle", "door", "engine", "fence"] * 20)]  # fmt: skip
    file = tmp_path / "source" / "rows.json"
    file.parent.mkdir()
    file.write_text(json.dumps(lines))
    return file


def settings(**changes: object) -> ProjectSettings:
    return ProjectSettings.model_validate({"name": "p", "model": {"name": "pocket"}, **changes})


def test_root_is_the_nearest_folder_with_rung_yaml(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert project_root(inner) == inner.resolve()
    save_project(tmp_path, settings())
    assert project_root(inner) == tmp_path.resolve()
    assert is_project(tmp_path) and not is_project(inner)


def test_settings_survive_writing_and_reading(tmp_path: Path) -> None:
    written = settings(
        system_prompt="Two lines:\n# not a comment",
        endpoints=[{"name": "big", "url": "http://localhost:1/v1", "model": "m"}],
        metrics=[{"name": "regex", "pattern": r"\d+: \w"}, "exact_match"],
        documents={"path": "docs", "k": 7},
        prompt_trials={"system_prompts": ["a: b", "c\nd"]},
    )
    save_project(tmp_path, written)
    assert load_project(tmp_path) == written


def test_every_field_has_a_comment() -> None:
    text = commented_yaml(settings(documents={"path": "docs"}))
    lines = text.splitlines()
    above = ["", *lines]
    fields = [(before, line) for before, line in zip(above, lines, strict=False) if not line.lstrip().startswith("#")]
    assert len(fields) > 60
    assert [line for before, line in fields if "  # " not in line and not before.lstrip().startswith("# ")] == []
    assert yaml.safe_load(text)["documents"]["path"] == "docs"


def test_all_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "rung.yaml").write_text(
        "name: p\nmodel: {name: pocket}\ndecoding:\n  max_new_token: 3\nmargin: -1\nsituation: {wants: [fact]}\n"
        "endpoints:\n  - {name: a, url: x}\n"
    )
    with pytest.raises(EngineError) as told:
        load_project(tmp_path)
    assert told.value.message.startswith("4 faults")
    assert "line 4: decoding.max_new_token: unknown field; did you mean max_new_tokens?" in told.value.details
    assert "line 5: margin: " in told.value.details
    assert "line 6: situation.wants.0: " in told.value.details
    assert "line 8: endpoints.0.model: is missing; the model's name there" in told.value.details


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judge": {"endpoint": "big"}}, "big is not the name"),
        ({"prompt_template": "no place"}, "lacks {question}"),
        ({"rag_prompt": {"frame": "{chunks}"}}, "lacks {question}"),
        ({"metrics": []}, "name at least one"),
    ],
)
def test_what_contradicts_itself_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(EngineError) as told:
        build_project({"name": "p", "model": {"name": "pocket"}, **change}, "the test's project")
    assert said in told.value.details


def test_no_project_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is not a project"):
        load_project(tmp_path)


def test_new_project_splits_freezes_and_trains_within_the_context(
    tmp_path: Path, bare_model: Path, train_file: Path
) -> None:
    made = write_new_project(tmp_path / "p", str(bare_model), train_file, wants=["format"], target=0.8)
    assert any("no chat template" in note for note in made.notes)
    project, recipe = load_project(made.root), load_recipe(made.root / "recipes" / "sft.yaml")
    assert project.model.chat_template == recipe.model.chat_template == "plain"
    assert recipe.data.max_length == 128
    assert recipe.training.learning_rate == RATES["sft"].small_adapter and recipe.training.num_train_epochs == 3.0
    assert project.situation.wants == ["format"] and project.target == 0.8
    parts = {name: read_json_lines(made.root / f"data/{name}.jsonl") for name in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 120
    assert read_splits(made.root).splits["test"].rows == len(parts["test"])
    assert "3 passes below 1,000" in (made.root / "recipes" / "sft.yaml").read_text()


def test_paths_are_relative_to_the_project(tmp_path: Path, bare_model: Path, train_file: Path) -> None:
    (tmp_path / "docs").mkdir()
    made = write_new_project(tmp_path / "deep" / "p", str(bare_model), train_file, documents=tmp_path / "docs")
    project = load_project(made.root)
    assert not Path(project.model.name).is_absolute()
    assert (made.root / project.model.name).resolve() == bare_model.resolve()
    assert project.documents is not None and project.documents.path == "../../docs"
    assert [(made.root / source).resolve() for source in project.data.sources] == [train_file.resolve()]


def test_given_splits_are_kept(tmp_path: Path, bare_model: Path, train_file: Path) -> None:
    test = tmp_path / "test.jsonl"
    test.write_text('{"instruction": "Held out", "output": "yes"}\n')
    made = write_new_project(tmp_path / "p", str(bare_model), train_file, test=test)
    assert len(read_json_lines(made.root / "data/train.jsonl")) == 120
    assert read_json_lines(made.root / "data/test.jsonl")[0]["output"] == "yes"


def test_a_group_stays_in_one_split(tmp_path: Path, bare_model: Path) -> None:
    words = ["amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath", "inlet", "jetty"]
    lines = [
        {"question": f"{a} and {b}?", "answer": f"{b} {a}", "user": f"u{number % 12}"}
        for number, (a, b) in enumerate((a, b) for a in words for b in words if a != b)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = write_new_project(tmp_path / "p", str(bare_model), file, data=ProjectData(group_by="user"))
    users = [{row["user"] for row in read_json_lines(made.root / f"data/{name}.jsonl")} for name in ("train", "test")]
    assert users[0].isdisjoint(users[1]) and all(users)


def test_the_command_splits_by_group_and_time_and_seals_final_rows(
    cli: Callable[..., Ran], tmp_path: Path, bare_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {
            "question": f"What did {_word(number)} say?",
            "answer": _word(7 * number + 1),
            "document": f"d{number // 3}.md",
            "day": number,
        }
        for number in range(120)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = [cli("new", tmp_path / name, "--model", bare_model, "--train", file, *options) for name, options in {
        "usual": ["--gold", "document", "--final-rows", "12"], "free": ["--group-by", "none"],
        "late": ["--time-by", "day"], "both": ["--time-by", "day", "--label", "answer"],
    }.items()]  # fmt: skip
    assert [ran.code for ran in made] == [0, 0, 0, 2]
    assert "rows with the same document stay in one split" in made[0].err
    assert "exclude each other" in made[3].err and not (tmp_path / "both").exists()
    usual, free, late = (read_splits(tmp_path / name) for name in ("usual", "free", "late"))
    assert usual.group_by == "document" and usual.splits["final"].rows == 12 and usual.final_opened is None
    assert load_project(tmp_path / "usual").data.gold == "document"
    assert free.group_by is None and "final" not in free.splits
    days = {name: [row["day"] for row in read_json_lines(tmp_path / "late" / late.splits[name].file)] for name in
            ("train", "test")}  # fmt: skip
    assert max(days["train"]) < min(days["test"])
    monkeypatch.chdir(tmp_path / "free")
    refused = cli("eval", "--split", "final")
    assert refused.code == 2 and "no sealed final split" in refused.err and "--final-rows" in refused.err
    assert not (tmp_path / "free" / "evaluations").exists(), "told before anything is started"


def _word(number: int) -> str:
    syllables = ["ba", "ko", "lu", "me", "ni", "po", "ra", "so", "tu", "va"]
    return "".join(syllables[int(digit)] for digit in f"{number * 7919 % 100_000:05d}")


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path, bare_model: Path, train_file: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine.txt").write_text("keep")
    with pytest.raises(EngineError, match="is not empty"):
        write_new_project(tmp_path / "p", str(bare_model), train_file)
    assert [file.name for file in (tmp_path / "p").iterdir()] == ["mine.txt"]


def test_a_project_is_there_whole_or_not_at_all(tmp_path: Path, bare_model: Path) -> None:
    empty = tmp_path / "rows.jsonl"
    empty.write_text("not json\n")
    with pytest.raises(EngineError):
        write_new_project(tmp_path / "p", str(bare_model), empty)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows.jsonl"]


def test_no_rows_yet_is_no_fault(tmp_path: Path) -> None:
    made = write_new_project(tmp_path / "p", "someone/some-model")
    assert any("no rows yet" in note for note in made.notes) and any("hub id" in note for note in made.notes)
    assert load_project(made.root).model == ModelSettings(name="someone/some-model")


@pytest.mark.parametrize(
    ("row", "method"),
    [
        ({"prompt": "Which {n}?", "chosen": "This {n}.", "rejected": "That {n}."}, "dpo"),
        ({"prompt": "Which {n}?", "completion": "This {n}.", "label": True}, "kto"),
        ({"text": "Number {n} of many."}, "cpt"),
        ({"question": "Which {n}?", "answer": "This {n}."}, "sft"),
        ({"prompt": "Which {n}?", "reference": "This {n}."}, "grpo"),
    ],
)
def test_a_new_project_s_recipe_is_of_the_method_that_its_rows_are_for(
    tmp_path: Path, row: dict[str, Any], method: str
) -> None:
    lines = [{k: v.replace("{n}", str(n)) if isinstance(v, str) else v for k, v in row.items()} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = write_new_project(tmp_path / "project", "pocket", tmp_path / "rows.jsonl")
    assert made.recipe == f"recipes/{method}.yaml" == load_project(made.root).tune.recipe
    assert load_recipe(made.root / made.recipe).method == method
