"""What `rung new` writes is never refused by `check`, `run` or `climb`, whatever its rows; a planted leak always is."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rung.engine.core.files import read_json_lines
from rung.engine.guide.new import split_into, split_plan
from rung.engine.project.load import save_project
from rung.engine.project.schema import ProjectData, ProjectSettings
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import ModelSettings, Recipe
from rung.engine.splits.leaks import find_leaks
from rung.engine.training.held_out_leaks import project_leakage, recipe_leakage
from tests.helpers.made_rows import SHAPES, made_parts, one_word_changed, otherwise_written, words

MANY_ROWS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
FILES = {name: f"data/{name}.jsonl" for name in ("train", "validation", "test")}


def new_project(root: Path, rows: list[dict[str, Any]], columns: dict[str, str] | None = None, **plan: Any) -> Path:
    """A project with the rows split as `rung new` splits them."""
    declared = ProjectData(columns=columns or {})
    split_into(root, rows, declared, split_plan(declared).model_copy(update=plan), {})
    data = declared.model_copy(update=FILES)
    save_project(root, ProjectSettings(name="made", model=ModelSettings(name="pocket"), data=data))
    return root


def recipe_of(columns: dict[str, str] | None = None) -> Recipe:
    data = {"train": FILES["train"], "validation": FILES["validation"], "columns": columns or {}}
    return build_recipe({"method": "sft", "model": {"name": "pocket"}, "data": data}, "the test's recipe")


def refused(root: Path) -> list[Any]:
    """What `run` and `climb` would refuse, and what `check` would find in the two files that something is chosen by."""
    test = read_json_lines(root / FILES["test"])
    checked = [find_leaks(read_json_lines(root / FILES[name]), test) for name in ("train", "validation")]
    return [
        *recipe_leakage(recipe_of(), root),
        *project_leakage(root, FILES["train"], FILES["validation"]),
        *(leak for found in checked for leak in found),
    ]


@MANY_ROWS
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    seed=st.integers(0, 10_000),
    count=st.integers(12, 150),
    systems=st.integers(0, 3),
    openings=st.integers(0, 12),
    opening_words=st.integers(5, 120),
    copies=st.integers(0, 25),
)
def test_its_own_splits_are_never_refused(
    tmp_path_factory: pytest.TempPathFactory, shape: str, seed: int, **made: int
) -> None:
    rows = [SHAPES[shape](parts) for parts in made_parts(seed, **made)]
    root = new_project(tmp_path_factory.mktemp("project"), rows)
    assert refused(root) == []
    written = [row for file in FILES.values() for row in read_json_lines(root / file)]
    assert sorted(map(json.dumps, written)) == sorted(map(json.dumps, rows)), "no row is lost"


CHANGES = {
    "word for word": lambda parts, generator: parts,
    "case and space": lambda parts, generator: replace(
        parts, question=otherwise_written(parts.question), answer=otherwise_written(parts.answer)
    ),
    "a word of the question": lambda parts, generator: replace(
        parts, question=one_word_changed(parts.question, generator)
    ),
    "a word of the answer": lambda parts, generator: replace(parts, answer=one_word_changed(parts.answer, generator)),
    "another system prompt": lambda parts, generator: replace(parts, system=words(generator, 30)),
    "another answer": lambda parts, generator: replace(
        parts, answer=words(generator, 9), other=words(generator, 9)
    ),
}  # fmt: skip


def leaks_of_another_answer(shape: str) -> bool:
    """Whether the shape tells what is asked from what is answered, and its question is the question alone."""
    return shape not in ("text", "unknown", "several turns")


@MANY_ROWS
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    change=st.sampled_from(sorted(CHANGES)),
    seed=st.integers(0, 10_000),
    count=st.integers(30, 150),
    systems=st.integers(0, 3),
    openings=st.integers(0, 12),
    opening_words=st.integers(5, 120),
)
def test_a_planted_copy_is_always_found(shape: str, change: str, seed: int, **made: int) -> None:
    if change == "another answer" and not leaks_of_another_answer(shape):
        change = "word for word"
    generator = random.Random(seed)
    parts = made_parts(seed, **made)
    held_out, learned = parts[: len(parts) // 4], parts[len(parts) // 4 :]
    write = SHAPES[shape]
    train, test = ([write(one) for one in some] for some in (learned, held_out))
    # Rows with one opening may be alike by chance: what is made of such rows is the other test's matter.
    assume(find_leaks(train, test) == [])
    copied = generator.randrange(len(held_out))
    place = generator.randrange(len(learned))
    planted = write(CHANGES[change](held_out[copied], generator))
    leaks = find_leaks([*train[:place], planted, *train[place:]], test)
    assert (copied + 1, place + 1) in [(leak.test_row, leak.train_row) for leak in leaks]
    assert {leak.train_row for leak in leaks} == {place + 1}, "and no other row is taken for one"
