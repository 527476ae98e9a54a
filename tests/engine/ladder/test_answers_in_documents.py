"""Held-out questions with their answers in the documents or the prompt: told before a climb and by the check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rung.engine.ladder.answers_in_documents as module
from rung.engine.core.files import read_json_lines
from rung.engine.jobs.events import Event, Warned
from rung.engine.ladder.answers_in_documents import QuestionsWithAnswers, answers_given, given_in_project
from rung.engine.ladder.held_out import held_out_examples
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectSettings
from rung.recipes.demos import facts, format
from tests.conftest import Ran
from tests.helpers.ladder_project import make_model, make_project, write_rows

BOTH = "1 held-out question stands with its answer, word for word, in the documents or the prompt"


@pytest.fixture
def project(tmp_path: Path) -> ProjectSettings:
    """Questions whose answers, but not whose words, stand in the documents."""
    return make_project(tmp_path, tmp_path / "no-model-is-needed")


def asked(root: Path, row: int = 2) -> dict[str, Any]:
    return read_json_lines(root / "data" / "test.jsonl")[row]


def test_documents_that_hold_the_answers_alone_are_what_retrieval_is_for(
    project: ProjectSettings, tmp_path: Path
) -> None:
    questions = "\n".join(asked(tmp_path, row)["question"] for row in range(4))
    (tmp_path / "documents" / "exam.md").write_text(f"# Questions without answers\n\n{questions}\n")
    told: list[Event] = []
    held_out_examples(tmp_path, project, told.append)
    assert told == [] and given_in_project(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("faq.md", "# FAQ\n\n**{question}**\n\nIt is {answer}, as everybody knows.\n"),
        ("faq.csv", 'question,answer\n"{question}","{answer}"\n'),
        ("faq.jsonl", '{{"title": "{question}", "text": "{answer}"}}\n'),
        ("reversed.txt", "Answer: {answer}. Question: {question}\n"),
        ("loud.html", "<p>{QUESTION}</p><p>A: {answer}</p>"),
    ],
)
def test_a_question_with_its_answer_in_the_documents_is_told(
    project: ProjectSettings, tmp_path: Path, file: str, text: str
) -> None:
    row = asked(tmp_path)
    (tmp_path / "documents" / file).write_text(text.format(**row, QUESTION=row["question"].upper()))
    told: list[Event] = []
    assert len(held_out_examples(tmp_path, project, told.append)) == 8, "it is no refusal"
    (warning,) = told
    assert isinstance(warning, Warned) and warning.message == BOTH
    assert warning.details.startswith(f"data/test.jsonl line 3 stands in documents {file}")
    assert row["question"] in warning.details


@pytest.mark.parametrize("field", ["system_prompt", "prompt_template", "frame", "trials"])
def test_a_question_with_its_answer_in_a_prompt_is_told(tmp_path: Path, field: str) -> None:
    make_project(tmp_path, tmp_path / "no-model")
    example = "Q: {question}\nA: {answer}\n".format(**asked(tmp_path))
    changes: dict[str, Any] = {
        "system_prompt": {"system_prompt": example},
        "prompt_template": {"prompt_template": example + "{question}"},
        "frame": {"rag_prompt": {"frame": example + "{chunks}{question}"}},
        "trials": {"prompt_trials": {"k": [0], "system_prompts": ["Be brief.", example]}},
    }
    project = make_project(tmp_path, tmp_path / "no-model", **changes[field])
    found = answers_given(tmp_path, project)
    assert found.count == 1 and "of rung.yaml" in found.first[0] and found.warning.message == BOTH


def test_contents_are_searched_once(project: ProjectSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searches = []
    search = module._search
    monkeypatch.setattr(module, "_search", lambda *args: searches.append(1) or search(*args))
    faq = tmp_path / "documents" / "faq.txt"
    faq.write_text("{question} {answer}".format(**asked(tmp_path)))
    assert [answers_given(tmp_path, project).count for _ in range(3)] == [1, 1, 1] and len(searches) == 1
    faq.write_text("nothing")
    assert answers_given(tmp_path, project).count == 0 and len(searches) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("what is the capital of france paris", True),
        ("what is the capital of france " + "well " * 29 + "paris", True),
        ("what is the capital of france " + "well " * 40 + "paris", False),
        ("paris is the capital of france", False),
        ("what is the capital of spain madrid what is the capital of france", False),
        ("what is the capital of france parisian", False),
        ("somebody asked what is the capital of france again what is the capital of france it is paris", True),
    ],
)
def test_the_answer_stands_close_to_its_question(text: str, found: bool) -> None:
    rows = QuestionsWithAnswers([("Who knows it?", "nobody"), ("What is the capital of France?", "Paris")])
    assert rows.found_in(text) == ({1} if found else set())


@pytest.mark.parametrize(
    ("text", "question", "answer", "found"),
    [
        ("He said: Why? Answer: because.", "Why?", "because", True),
        ("Why? Because!", "Why?", "because", True),
        ("Why did he go? Because of the rain.", "Why?", "because", False),
        ("The inventor of the Gak is Ida.", "Inventor of the Gak?", "Ida", False),  # a statement asks nothing
        ("Best grade? A", "Best grade?", "A", True),
    ],
)
def test_a_short_question_needs_its_answer_at_once(text: str, question: str, answer: str, found: bool) -> None:
    assert QuestionsWithAnswers([(question, answer)]).found_in(text) == ({0} if found else set())


@pytest.mark.parametrize("demo", [facts, format])
def test_the_demos_give_nothing_away(tmp_path: Path, demo: Any) -> None:
    spec = demo.write(tmp_path, 0)
    settings = {
        "name": "d", "model": {"name": "pocket"}, "data": {"test": spec.test, "train": spec.train},
        "documents": {"path": spec.documents} if spec.documents else None, "system_prompt": spec.system_prompt or None,
        "prompt_trials": {"system_prompts": list(spec.prompts)},
    }  # fmt: skip
    assert answers_given(tmp_path, ProjectSettings.model_validate(settings)).count == 0


def test_the_check_of_a_recipe_warns_and_is_ready(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "p"
    make_project(root, make_model(tmp_path / "model"))
    write_rows(root / "documents" / "faq.jsonl", [{name: asked(root)[name] for name in ("question", "answer")}])
    recipe = root / "recipes" / "sft.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        f"method: sft\nmodel: {{name: {tmp_path / 'model'}}}\ndata: {{train: data/train.jsonl, max_length: 128}}\n"
    )
    monkeypatch.chdir(root)
    assert load_project(root).data.test == "data/test.jsonl"
    told = cli("check", recipe)
    assert told.code == 0 and f"warning   {BOTH}: data/test.jsonl line 3 stands in documents faq.jsonl" in told.out
    assert json.loads(cli("check", recipe, "--json").out)["warnings"][0].startswith(BOTH)
