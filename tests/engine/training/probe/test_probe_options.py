"""The questions asked of real models: by their options' texts small ones answer, by a letter they guess."""

from pathlib import Path
from typing import Any, cast

import pytest

from rung.engine.core.files import read_json, read_json_lines, write_json_atomic
from rung.engine.jobs.events import Probe
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.training.probe.forgot import forgot, forgot_words, is_at_chance
from rung.engine.training.probe.options import likeliest, option_rows
from rung.engine.training.probe.questions import Question
from rung.engine.training.probe.source import ProbeMaterial, probe_material
from tests.helpers.method_runs import chat_rows, make_recipe, sit, write_rows
from tests.helpers.program import ROOT
from tests.helpers.tiny import make_tiny_model

POCKET = ROOT / "recipes" / "pocket" / "model"
ASKED = 40


def measured(model: Any, tokenizer: Any, folder: RunFolder, material: ProbeMaterial) -> dict[str, float]:
    """What the meter reads of the model."""
    from rung.engine.jobs.reporter import Reporter
    from rung.engine.training.job import Job
    from rung.engine.training.probe.meter import ForgettingProbe

    reporter = Reporter(folder.events)
    unused = cast(Any, None)
    recipe = make_recipe("sft", str(POCKET))
    job = Job(
        recipe, folder, folder.path.parents[1], reporter, "cpu", tokenizer, model, train=unused, validation=unused,
        schedule=unused,
    )  # fmt: skip
    try:
        return ForgettingProbe(job, material, None).measure(0, whole=True)
    finally:
        reporter.close()


def test_a_damaged_model_knows_less_by_the_texts_while_the_letters_are_guessed(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    model = AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    whole = probe_material("builtin", POCKET, tmp_path)
    material = ProbeMaterial("general", whole.passages[:4], whole.questions[:ASKED])
    before = measured(model, tokenizer, new_run_folder(tmp_path, "sft"), material)
    assert before["option_accuracy"] > 0.9 and before["chance"] == 0.25
    assert is_at_chance(before["letter_accuracy"], ASKED, 0.25)

    with torch.no_grad():
        noise = torch.Generator().manual_seed(0)
        for weights in model.parameters():
            weights.add_(0.12 * torch.randn(weights.shape, generator=noise))
    after = measured(model, tokenizer, new_run_folder(tmp_path, "sft"), material)
    assert 0.25 < after["option_accuracy"] < before["option_accuracy"] - 0.05
    assert after["perplexity"] > before["perplexity"]
    assert is_at_chance(after["letter_accuracy"], ASKED, 0.25)


def test_of_an_option_its_own_text_alone_is_scored() -> None:
    """The pocket model's template puts a space before an answer and an end token after it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    rows = option_rows(Question("Where does Ilsa live?", ("Norwell", "the end", "d"), 0), tokenizer)
    assert rows is not None
    assert [tokenizer.decode(row.ids[row.start :]).strip() for row in rows] == ["Norwell", "the end", "d"]
    assert [row.num_bytes for row in rows] == [7, 7, 1]
    assert all("Ilsa" in tokenizer.decode(row.ids[: row.start]) for row in rows)


def test_what_a_template_writes_before_an_answer_is_not_scored(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}A: <think> </think> {{ m['content'] }}</s>"
        "{% else %}Q: {{ m['content'] }} {% endif %}{% endfor %}"
    )
    rows = option_rows(Question("q", ("think", "s"), 0), tokenizer)
    assert rows is not None
    assert [tokenizer.decode(row.ids[row.start :]).strip() for row in rows] == ["think", "s"]
    assert all("</think>" in tokenizer.decode(row.ids[: row.start]) for row in rows)
    tokenizer.chat_template = "{% for m in messages if m['role'] == 'user' %}Q: {{ m['content'] }} {% endfor %}"
    assert option_rows(Question("q", ("a", "b"), 0), tokenizer) is None, "it writes no answers"


def test_the_likeliest_is_by_the_byte() -> None:
    from rung.engine.training.probe.options import OptionRow

    rows = [OptionRow([1, 2], 1, 4), OptionRow([1, 2, 3, 4], 1, 16)]
    assert likeliest([-4.0, -8.0], rows) == 1, "half a nat a byte against one"
    assert likeliest([-4.0, -20.0], rows) == 0


@pytest.fixture
def asked_model(tmp_path: Path) -> Path:
    """A tiny model that brings six questions of its own."""
    model = make_tiny_model(tmp_path / "model")
    questions = [
        {"text": f"Colour {n}?", "options": ["red", "green", "blue", "grey"], "answer": n % 4} for n in range(6)
    ]
    write_json_atomic(
        model / "probe.json", {"passages": ["The sea is wide.", "A dog runs."], "questions": questions, "prompts": []}
    )
    return model


def finished(folder: RunFolder) -> dict[str, Any]:
    """The run's last event."""
    return next(event for event in read_json_lines(folder.events) if event["type"] == "finished")


def test_a_run_says_what_it_forgot_of_what_from_what_to_what(asked_model: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path / "project", chat_rows(16)), "sft")
    sit(
        make_recipe("sft", asked_model, probe={"source": "builtin"}, training={"max_steps": 4, "eval_steps": 2}), folder
    )
    result = finished(folder)
    known = forgot(result)
    probes = [event["metrics"] for event in read_json_lines(folder.events) if event["type"] == "probe"]
    assert known is not None and result["forgetting_of"] == "general"
    assert (known["from"], known["to"]) == pytest.approx((probes[0]["perplexity"], probes[-1]["perplexity"]))
    assert known["low"] <= known["growth"] <= known["high"]
    assert (known["quiz"]["from"], known["quiz"]["n"]) == (pytest.approx(probes[0]["option_accuracy"]), 6)
    report = folder.report.read_text()
    assert str(forgot_words(result)) in report and "questions, by the options' texts" in report
    assert "(at chance)" in report, "six questions can't tell a model of random weights from guessing"


def test_a_run_that_an_older_version_began_mixes_no_figures(asked_model: Path, tmp_path: Path) -> None:
    """Resumed, it has the letters before and after; of the options' texts, scored only after, no change is said."""
    folder = new_run_folder(write_rows(tmp_path / "project", chat_rows(16)), "sft")
    recipe = make_recipe("sft", asked_model, probe={"source": "builtin"}, training={"max_steps": 4, "eval_steps": 2})
    sit(recipe, folder, stop_at=2)
    as_older_version(folder)
    sit(recipe, folder)
    result = finished(folder)
    assert "letter_accuracy" in result["forgetting"] and "letter_accuracy" in result["forgetting_intervals"]
    for name in ("forgetting", "forgetting_intervals", "forgetting_before"):
        assert not {"option_accuracy", "accuracy"} & set(result[name])
    known = forgot(result)
    assert known is not None and known["quiz"] is None and known["letters"]["chance"] == 0.25
    assert "quiz" not in str(forgot_words(result))


def as_older_version(folder: RunFolder) -> None:
    """Rewrites what the probe left before training as the version did that asked for letters alone."""
    import json

    def older(figures: dict[str, Any]) -> dict[str, Any]:
        dropped = ("option_accuracy", "chance", "documents")
        renamed = {"accuracy" if name == "letter_accuracy" else name: value for name, value in figures.items()}
        return {name: value for name, value in renamed.items() if name not in dropped}

    before = folder.path / "probe" / "before.json"
    write_json_atomic(before, older(read_json(before)))
    events = read_json_lines(folder.events)
    for event in events:
        if event["type"] == Probe.type:
            event["metrics"], event["intervals"] = older(event["metrics"]), older(event["intervals"])
    folder.events.write_text("".join(json.dumps(event) + "\n" for event in events))
