"""The forgetting study: its arms, its table, and a small one run whole, then read again."""

from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import list_runs
from rung.engine.recipe.load import dump_recipe
from rung.recipes.forgetting_study import Cost, main, study_arms, study_table
from tests.helpers.method_runs import chat_rows, make_recipe, write_rows
from tests.helpers.tiny import make_tiny_model


def test_there_is_an_arm_for_each_way() -> None:
    recipe = make_recipe("sft", "pocket", probe={"source": "builtin"}, training={"num_train_epochs": 1})
    arms = study_arms(recipe)
    assert [(arm.kind, arm.rate, arm.replay) for arm in arms[:4]] == [
        ("lora", 2e-4, 0.0), ("lora", 2e-4, 0.05), ("lora", 2e-4, 0.2), ("lora", 1e-3, 0.0),
    ]  # fmt: skip
    assert len({dump_recipe(arm.recipe) for arm in arms}) == len(arms) == 12
    full = [arm for arm in arms if arm.kind == "full"]
    assert {arm.rate for arm in full} == {1e-5, 5e-5}
    assert all(arm.recipe.adapter is None for arm in full)
    replayed = [arm.recipe.data.replay for arm in arms if arm.replay]
    assert {(item.source, item.ratio) for item in replayed} == {("self", 0.05), ("self", 0.2)}
    assert all(arm.recipe.training.num_train_epochs == 1 for arm in arms)
    with pytest.raises(EngineError, match="no probe"):
        study_arms(make_recipe("sft", "pocket"))


def test_the_table_has_a_line_an_arm() -> None:
    cost = Cost("full", 1e-3, 0.2, 5.08, 2.2, 0.74, 1.2, 0.3, 0.6, 0.51, "run")
    assert study_table([cost]).splitlines()[-1] == (
        "| full | 0.001 | 20% | 5.080 | 2.200 | 0.740 | 1.200 | +0.460 (+0.300 to +0.600) | 0.510 |"
    )


@pytest.mark.slow
def test_a_study_runs_its_arms_and_reads_them_the_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    model = make_tiny_model(tmp_path / "model")
    root = write_rows(tmp_path / "project", chat_rows(16))
    (root / "general.txt").write_text("The sea is wide.\n\nA dog runs home.\n\nSnow falls on the hill.")
    recipe = make_recipe(
        "sft", model, probe={"source": "general.txt"}, training={"max_steps": 2, "eval_steps": 2},
        data={"replay": {"source": "builtin", "ratio": 0.1}},
    )  # fmt: skip
    (root / "mine.yaml").write_text(dump_recipe(recipe))
    asked = [str(root / "mine.yaml"), "--rates", "10", "--replay", "0", "0.2"]
    assert main(asked) == 0
    first = capsys.readouterr().out
    assert len(first.strip().splitlines()) == 2 + 4
    assert len(list_runs(root)) == 4
    assert main(asked) == 0
    assert capsys.readouterr().out == first
    assert len(list_runs(root)) == 4, "arms that are done are read"
    assert main([str(root / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
