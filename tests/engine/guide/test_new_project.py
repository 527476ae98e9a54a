"""rung new: what can't work is refused with the reason and leaves nothing, and what is there is kept."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.guide import staging
from rung.engine.guide.new import write_new_project
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectData
from rung.engine.recipe.load import load_recipe
from tests.conftest import Ran
from tests.helpers.tiny import make_tiny_model

QUESTIONS = ["What is the sum of two and two?", "Where does the sun rise?", "Who wrote this play?", "Why is it dark?"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows of 40 questions."""
    rows = [{"question": f"{QUESTIONS[n % 4]} {n}", "answer": f"It is {n}.", "doc": f"d{n}"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "odd.jsonl").write_text('{"colour": "red", "shade": "dark"}\n' * 40)
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "answerless.jsonl").write_text('{"question": "Why?", "answer": " "}\n' * 40)
    (tmp_path / "blank.txt").write_text(" \n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--train odd.jsonl", "have no known shape"),
        ("--train empty.jsonl", "no usable row"),
        ("--train answerless.jsonl", "line 1: answer: is empty"),
        ("--train gone.jsonl", "does not exist"),
        ("--train blank.txt", "holds no text"),
        ("--train rows.jsonl --shape chats", "no shape 'chats'"),
        ("--train rows.jsonl --shape preference", "line 1: chosen: is missing"),
        ("--train rows.jsonl --metric exact_mach", "did you mean exact_match"),
        ("--metric exact_mach", "did you mean exact_match"),
        ("--train rows.jsonl --gold dok", "did you mean doc?"),
        ("--train rows.jsonl --group-by author", "has the column author"),
        ("--train rows.jsonl --label kind", "has the column kind"),
        ("--train rows.jsonl --time-by day", "has the column day"),
        ("--train rows.jsonl --metric exact_match --target 1.7", "from 0 to 1"),
        ("--train rows.jsonl --target 80", "80 % is 0.8"),
        ("--target -0.1", "from 0 to 1"),
        ("--train rows.jsonl --validation rows.jsonl", "--validation goes with --test"),
        ("--test rows.jsonl", "--test goes with --train"),
        ("--train rows.jsonl --test empty.jsonl", "no usable row"),
        ("--train rows.jsonl --documents gone", "no documents"),
        ("--train rows.jsonl --model gone/folder/model", "model"),
    ],
)
@pytest.mark.parametrize("where", ["p", "a/deep/p", "there"])
def test_what_can_not_work_is_refused_and_leaves_nothing(
    where: str, options: str, said: str, cli: Callable[..., Ran], here: Path, model: Path
) -> None:
    (here / "there").mkdir()
    before = sorted(file.relative_to(here) for file in here.rglob("*"))
    arguments = shlex.split(options)
    ran = cli("new", where, *([] if "--model" in arguments else ["--model", model]), *arguments)
    assert ran.code == 2 and said in ran.err and "Traceback" not in ran.err
    assert sorted(file.relative_to(here) for file in here.rglob("*")) == before


@pytest.mark.parametrize("where", ["p", "a/deep/p", "there"])
@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("at", ["save_project", "reach_notes", "make_splits"])
def test_an_interrupted_attempt_leaves_nothing(
    where: str, fault: BaseException, at: str, here: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise fault

    (here / "there").mkdir()
    before = sorted(file.relative_to(here) for file in here.rglob("*"))
    monkeypatch.setattr(f"rung.engine.guide.new.{at}", interrupt)
    with pytest.raises(type(fault) if isinstance(fault, Exception) else KeyboardInterrupt):
        write_new_project(here / where, str(model), here / "rows.jsonl")
    assert sorted(file.relative_to(here) for file in here.rglob("*")) == before
    monkeypatch.undo()
    assert write_new_project(here / where, str(model), here / "rows.jsonl").root == here / where


def test_a_folder_that_is_there_is_filled_and_not_replaced(
    cli: Callable[..., Ran], here: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "p").mkdir(mode=0o750)
    before = (here / "p").stat()
    monkeypatch.chdir(here / "p")
    ran = cli("new", ".", "--model", model, "--train", "../rows.jsonl")
    assert ran.code == 0, ran.err
    after = Path.cwd().stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert sorted(os.listdir()) == ["data", "recipes", "rung.yaml"]
    assert load_project(Path()).data.sources == ["../rows.jsonl"]


def test_a_folder_half_filled_is_emptied_again(here: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "p").mkdir()
    moved = []

    def once(source: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        source.rename(target)

    monkeypatch.setattr(staging.os, "replace", once)
    with pytest.raises(KeyboardInterrupt):
        with staging.whole_or_not_at_all(here / "p") as folder:
            for name in ("a", "b"):
                (folder / name).mkdir()
                (folder / name / "file").write_text("x")
    assert moved and list((here / "p").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_said(here: Path, model: Path) -> None:
    with pytest.raises(EngineError, match="can't be made"):
        write_new_project(here / "rows.jsonl" / "p", str(model))


def test_running_text_is_learned_as_it_lies(cli: Callable[..., Ran], here: Path, model: Path) -> None:
    (here / "notes.txt").write_text("The lamp is lit at night.\n\nThe boats come home.\n" * 40)
    ran = cli("new", "p", "--model", model, "--train", "notes.txt", "--json")
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    assert made["recipe"] == "recipes/cpt.yaml" and made["rows"] == {}
    project, recipe = load_project(here / "p"), load_recipe(here / "p" / "recipes" / "cpt.yaml")
    assert (project.data.train, recipe.data.train, recipe.method) == ("../notes.txt", "../notes.txt", "cpt")
    refused = cli("new", "q", "--model", model, "--train", "notes.txt", "--test", "rows.jsonl")
    assert refused.code == 2 and "no answers to score" in refused.err


@pytest.mark.accept
def test_a_project_of_running_text_is_ready_to_launch(cli: Callable[..., Ran], here: Path, model: Path) -> None:
    (here / "notes.txt").write_text("The lamp is lit at night.\n\nThe boats come home.\n" * 40)
    assert cli("new", "p", "--model", model, "--train", "notes.txt").code == 0
    ran = cli("check", "p/recipes/cpt.yaml", "--set", "max_length=128")
    assert ran.code == 0 and "ready to launch" in ran.out


def test_what_comes_next_can_be_pasted_into_a_shell(cli: Callable[..., Ran], here: Path, model: Path) -> None:
    ran = cli("new", "my project; it's mine", "--model", model, "--train", "rows.jsonl")
    (line,) = [line for line in ran.err.splitlines() if "next:" in line]
    words = shlex.split(line.partition("next: ")[2].replace(", then", " ;"))
    file = "my project; it's mine/recipes/sft.yaml"
    assert words == ["rung", "check", file, ";", "rung", "run", file]
    ran = cli("new", "theirs", "--model", "org/not-here", "--train", "rows.jsonl")
    assert "next: rung fetch org/not-here, then rung check theirs/recipes/sft.yaml, then" in ran.err


def test_a_check_says_that_the_model_is_not_here(cli: Callable[..., Ran], here: Path) -> None:
    cli("new", "p", "--model", "org/not-here", "--train", "rows.jsonl")
    ran = cli("check", "p/recipes/sft.yaml")
    assert ran.code == 1 and "model.name: org/not-here is not on this machine" in ran.out
    assert "downloads are switched off (HF_HUB_OFFLINE)" in ran.out and "transformers" not in ran.out


def test_held_out_rows_under_other_names_are_read_as_the_training_rows(here: Path, model: Path) -> None:
    (here / "test.jsonl").write_text('{"question": "What else is there?", "response": "Nothing."}\n')
    made = write_new_project(here / "p", str(model), here / "rows.jsonl", test=here / "test.jsonl")
    from rung.engine.ladder.examples import load_split

    (example,) = load_split(made.root, load_project(made.root), "test").examples
    assert example.reference == "Nothing."
    assert len(load_split(made.root, load_project(made.root), "train").examples) == 40


def test_rows_that_can_not_be_used_are_counted_and_named(here: Path, model: Path) -> None:
    with (here / "rows.jsonl").open("a") as stream:
        stream.write('{"question": "Why?", "answer": ""}\n' * 7)
    made = write_new_project(here / "p", str(model), here / "rows.jsonl")
    assert any("line 41 is not used: answer: is empty" in note for note in made.notes)
    assert any(note.startswith("2 more rows are not used") for note in made.notes)


def test_a_metric_of_one_s_own_is_named_from_where_one_is(cli: Callable[..., Ran], here: Path, model: Path) -> None:
    (here / "mine.py").write_text("def score(answer, reference, row):\n    return float(answer == reference)\n")
    ran = cli("new", "p", "--model", model, "--train", "rows.jsonl", "--metric", "mine.py:score")
    assert ran.code == 0, ran.err
    assert load_project(here / "p").metrics == ["../mine.py:score"]


def test_prompts_alone_are_for_methods_that_answer_themselves(here: Path, model: Path) -> None:
    (here / "prompts.jsonl").write_text("".join(f'{{"prompt": "{QUESTIONS[n % 4]} {n}"}}\n' for n in range(40)))
    made = write_new_project(here / "p", str(model), here / "prompts.jsonl", data=ProjectData())
    assert made.recipe == "recipes/grpo.yaml" and any("sft has nothing to learn" in each for each in made.warnings)
