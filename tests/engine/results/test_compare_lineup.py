"""Who can be compared with whom, on which prompts, and where two answers differ."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.results.comparison import (
    base_model,
    comparable_runs,
    lineup_of,
    newest_trained,
    pinned_prompts,
    read_recipe,
    run_label,
)
from rung.tui.text.word_diff import differing_spans, marked


def make_run(root: Path, run: str, artifact: str | None = "adapter", **recipe: Any) -> RunFolder:
    folder = RunFolder(root / "runs" / run)
    folder.path.mkdir(parents=True)
    if artifact is not None:
        (folder.path / artifact).mkdir(parents=True)
    plain = {"method": "sft", "model": {"name": "pocket", "dtype": "auto"}, "data": {"train": "train.jsonl"}} | recipe
    folder.recipe.write_text(yaml.safe_dump(plain))
    return folder


def test_runs_on_one_base_make_a_lineup(tmp_path: Path) -> None:
    first = make_run(tmp_path, "20260101-000000-sft-aaaa")
    second = make_run(tmp_path, "20260102-000000-dpo-bbbb", method="dpo")
    lineup = lineup_of([first, second], tmp_path)
    assert lineup.labels == ["base", "sft-aaaa", "dpo-bbbb"]
    assert lineup.adapters["dpo-bbbb"] == str(second.path / "adapter")
    assert lineup.model == {"name": "pocket", "dtype": "auto"}


def test_an_unfinished_run_answers_by_its_newest_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path, "20260101-000000-sft-aaaa", artifact="checkpoints/step-20")
    (run.path / "checkpoints" / "step-9").mkdir()
    assert lineup_of([run], tmp_path).adapters["sft-aaaa"].endswith("checkpoints/step-20")


@pytest.mark.parametrize(
    ("artifact", "recipe", "message"),
    [(None, {}, "no artifact and no checkpoint"), ("adapter", {"method": "reward"}, "scores, not answers")],
)
def test_a_run_that_can_not_answer_is_refused(
    tmp_path: Path, artifact: str | None, recipe: dict[str, Any], message: str
) -> None:
    run = make_run(tmp_path, "20260101-000000-sft-aaaa", artifact, **recipe)
    with pytest.raises(EngineError, match=message):
        lineup_of([run], tmp_path)
    assert newest_trained(tmp_path) is None


def test_different_bases_are_refused_and_not_offered(tmp_path: Path) -> None:
    ours = make_run(tmp_path, "20260101-000000-sft-aaaa")
    alike = make_run(tmp_path, "20260102-000000-sft-bbbb")
    other = make_run(tmp_path, "20260103-000000-sft-cccc", model={"name": "another", "dtype": "auto"})
    with pytest.raises(EngineError, match="don't have one base model"):
        lineup_of([ours, other], tmp_path)
    assert comparable_runs(tmp_path, read_recipe(ours)["model"], [ours]) == [RunFolder(alike.path.resolve())]


def test_what_lies_under_a_chain_is_its_first_full_tune_or_base(tmp_path: Path) -> None:
    full = make_run(tmp_path, "20260101-000000-cpt-aaaa", artifact="model")
    tuned = make_run(tmp_path, "20260102-000000-sft-bbbb", start_from=f"run:{full.id}")
    preferred = make_run(tmp_path, "20260103-000000-dpo-cccc", method="dpo", start_from=f"run:{tuned.id}")
    plain = make_run(tmp_path, "20260104-000000-sft-dddd")
    on_plain = make_run(tmp_path, "20260105-000000-dpo-eeee", method="dpo", start_from="run:sft-dddd")
    bases = {run.id: base_model(run, read_recipe(run), tmp_path)["name"] for run in (tuned, preferred, plain, on_plain)}
    assert bases[tuned.id] == bases[preferred.id] == str(full.path.resolve() / "model")
    assert bases[plain.id] == bases[on_plain.id] == "pocket"
    assert lineup_of([full], tmp_path).model["name"] == "pocket"


def test_labels_tell_runs_apart(tmp_path: Path) -> None:
    runs = [RunFolder(tmp_path / "20260101-000000-sft-aaaa"), RunFolder(tmp_path / "20260102-000000-sft-aaaa")]
    assert run_label(runs[0], runs[:1]) == "sft-aaaa"
    assert run_label(runs[0], runs) == "20260101-000000-sft-aaaa"


def test_prompts_are_the_pinned_ones_then_the_rows_that_were_held_out(tmp_path: Path) -> None:
    rows = [{"instruction": "Add", "input": "1 2", "output": "3"}, {"instruction": "Spell", "output": "s"}]
    (tmp_path / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {"samples": {"prompts": ["Hello?"]}, "data": {"train": "t.jsonl", "validation": "validation.jsonl"}}
    found = pinned_prompts(recipe, tmp_path)
    assert [prompt.origin for prompt in found.prompts] == ["pinned", "validation row 1", "validation row 2"]
    assert [prompt.reference for prompt in found.prompts] == ["", "3", "s"]
    assert found.prompts[1].text.startswith("Add")
    missing = pinned_prompts({"data": {"train": "gone.jsonl"}}, tmp_path)
    assert missing.prompts == [] and "does not exist" in missing.trouble


def test_differing_words_are_found_and_marked() -> None:
    text, other = "The total is 999 euros.", "The total is 412.50 euros."
    assert [text[start:end] for start, end in differing_spans(text, other)] == ["999"]
    assert [other[start:end] for start, end in differing_spans(other, text)] == ["412.50"]
    assert differing_spans(text, text) == []
    assert differing_spans("", text) == [] and differing_spans(text, "") == [(0, len(text))]
    assert marked(text, differing_spans(text, other), brackets=True).plain == "The total is [999] euros."
    assert marked("[b]x[/b]", [], brackets=False).plain == "[b]x[/b]"
