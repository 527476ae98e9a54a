"""What a person can get wrong: one clear message with the place and a hint, the right exit code, nothing half-made."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.jobs.folder import list_runs
from tests.conftest import Ran
from tests.helpers.tiny import make_tiny_model

Cli = Callable[..., Ran]
ROW = '{"prompt": "Which colour?", "completion": "red"}\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_recipe(folder: Path, model: object = "pocket", train: str = "train.jsonl", more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(f"method: sft\nmodel:\n  name: {model}\ndata:\n  train: {train}\n{more}")
    return path


def refused(ran: Ran, *said: str, code: int = 2) -> None:
    assert ran.code == code
    assert "Traceback" not in ran.err
    for words in said:
        assert words in ran.err
    assert ran.out == ""


def test_three_faults_are_told_at_once_with_their_lines(cli: Cli, here: Path) -> None:
    more = "training:\n  learning_rat: 1e-4\n  num_train_epochs: many\nseeed: 1\n"
    ran = cli("run", write_recipe(here, more=more))
    refused(ran, "3 faults", "line 7", "line 8", "line 9", "did you mean learning_rate?", "did you mean seed?")
    assert list_runs(here) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a recipe"),
        ("method: [sft\n", "line 2"),
        ("just words\n", "not a recipe"),
        ("method: sft\n", "model"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, said: str, cli: Cli, here: Path) -> None:
    (here / "recipe.yaml").write_text(text)
    refused(cli("run", "recipe.yaml"), "recipe.yaml", said)


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_missing_file_is_named(command: str, cli: Cli) -> None:
    refused(cli(command, "none.yaml"), "none.yaml")


@pytest.mark.parametrize(
    ("model", "train", "said"),
    [
        ("pocket", "none.jsonl", ("none.jsonl does not exist", "data.train: none.jsonl", "it starts from")),
        ("./none", "rows.jsonl", ("There is no model folder", "model.name: ./none", "a hub id, or pocket")),
        (".", "rows.jsonl", ("not a model folder", "config.json")),
    ],
)
def test_what_a_recipe_names_and_is_not_there_makes_no_run(
    model: str, train: str, said: tuple[str, ...], cli: Cli, here: Path
) -> None:
    (here / "rows.jsonl").write_text(ROW)
    refused(cli("run", write_recipe(here, model, train)), *said)
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    "option", [("--max-new-tokens", "0"), ("--temperature", "-1"), ("--temperature", "hot"), ("--top-p", "1.5")]
)
def test_decoding_out_of_range_is_bad_usage(option: tuple[str, str], cli: Cli) -> None:
    refused(cli("compare", "last", "--prompt", "?", *option), "usage: rung compare", f"{option[1]!r} is not a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--headless", "fact", "here"], "There is no demo 'fact'"),
        (["facts", "there"], "need a terminal"),
        (["--headless", "format", "."], "is not empty"),
    ],
)
def test_a_demo_that_cannot_be_shown_or_made_makes_nothing(words: list[str], said: str, cli: Cli, here: Path) -> None:
    (here / "mine.txt").write_text("kept")
    refused(cli("demo", *words), said)
    assert [path.name for path in here.iterdir()] == ["mine.txt"]


def test_a_folder_with_something_in_it_stays_as_it_is(cli: Cli, here: Path) -> None:
    (here / "mine.txt").write_text("kept")
    refused(cli("new", here, "--model", "pocket"), "is not empty")
    assert [path.name for path in here.iterdir()] == ["mine.txt"]


def test_documents_that_are_not_there_are_named(cli: Cli, here: Path, model: Path) -> None:
    refused(cli("new", "project", "--model", model, "--documents", "none"), "none")
    assert list(here.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(cli: Cli, model: Path) -> None:
    refused(cli("new", "/proc/project", "--model", model), "/proc/")


def test_a_project_is_not_made_of_an_empty_file(cli: Cli, here: Path, model: Path) -> None:
    (here / "rows.jsonl").write_text("")
    refused(cli("new", "project", "--model", model, "--train", "rows.jsonl"), "rows.jsonl")
    assert [path.name for path in here.iterdir()] == ["rows.jsonl"], "nothing half-made"


def test_a_new_project_tells_the_lines_it_leaves_out(cli: Cli, here: Path, model: Path) -> None:
    rows = [json.dumps({"prompt": f"What is {number} in words?", "completion": f"{number}"}) for number in range(40)]
    (here / "rows.jsonl").write_text("\n".join([*rows[:4], '{"prompt": "torn', *rows[4:]]))
    ran = cli("new", "project", "--model", model, "--train", "rows.jsonl")
    assert ran.code == 0, ran.err
    assert "rows.jsonl line 5 is left out" in ran.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("removed", "said", "code"),
    [
        ("model.safetensors", "has no weights", 2),
        ("config.json", "not a model folder", 2),
        ("tokenizer.json", "has no tokenizer", 1),
    ],
)
def test_an_incomplete_model_folder_is_named(removed: str, said: str, code: int, cli: Cli, here: Path) -> None:
    folder = make_tiny_model(here / "model")
    (folder / removed).unlink()
    (here / "train.jsonl").write_text(ROW * 20)
    ran = cli("check", write_recipe(here, "model"), "--json")
    assert ran.code == 1
    assert said in json.dumps(json.loads(ran.out)["problems"])
    started = cli("run", "recipe.yaml")
    assert started.code == code
    assert said in started.err
    assert "Traceback" not in started.err
    assert [run.artifact() for run in list_runs(here)] == [None] * (code == 1), "no run, or one without a result"


@pytest.mark.slow
def test_a_tokenizer_without_a_chat_template_is_offered_the_plain_one(cli: Cli, here: Path) -> None:
    make_tiny_model(here / "bare", chat_template=None)
    (here / "train.jsonl").write_text(ROW * 20)
    ran = cli("check", write_recipe(here, "bare"), "--set", "max_length=512", "--json")
    assert ran.code == 1
    (problem,) = json.loads(ran.out)["problems"]
    assert "no chat template" in problem["reason"]
    assert "model.chat_template: plain" in problem["hint"]
    assert cli("check", "recipe.yaml", "--set", "max_length=512", "--set", "model.chat_template=plain").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [("", "the file is empty", "one JSON object a line"), ('{"foo": 1}\n', "no known shape", "columns")],
)
def test_a_file_without_a_usable_row_stops_a_launch(
    content: str, said: str, hint: str, cli: Cli, here: Path, model: Path
) -> None:
    (here / "train.jsonl").write_text(content)
    ran = cli("check", write_recipe(here, model), "--set", "max_length=512", "--json")
    assert ran.code == 1
    (problem,) = json.loads(ran.out)["problems"]
    assert problem["field"] == "data.train" and said in problem["reason"] and "train.jsonl" in problem["reason"]
    assert hint in problem["hint"]


@pytest.mark.slow
def test_rows_that_cannot_be_used_are_reported_with_their_lines(cli: Cli, here: Path, model: Path) -> None:
    (here / "rows.jsonl").write_text(ROW * 2 + '{"prompt": "torn\n' + '{"question": "?"}\n' + ROW)
    ran = cli("check", "rows.jsonl", "--model", model, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert (report["shape"], report["rows"], report["used"]) == ("prompt_completion", 5, 3)
    assert [problem["line"] for problem in report["problems"]] == [3, 4]
    assert all(problem["reason"] for problem in report["problems"])
    told = cli("check", "rows.jsonl", "--model", model).out
    assert "rows.jsonl line 3: not valid JSON" in told
    assert "rows.jsonl line 4, prompt: is missing" in told
    assert "mend the rows" in told


@pytest.mark.slow
def test_an_answer_that_is_cut_is_counted_not_dropped(cli: Cli, here: Path, model: Path) -> None:
    (here / "rows.jsonl").write_text(ROW + json.dumps({"prompt": "Long?", "completion": "word " * 100}) + "\n")
    report = json.loads(cli("check", "rows.jsonl", "--model", model, "--max-length", "100", "--json").out)
    assert (report["used"], report["truncated"]) == (2, 1)
    assert "lose their end" in " ".join(report["notes"])
