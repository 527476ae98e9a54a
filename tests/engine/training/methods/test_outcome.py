"""The end of a run: what its method is about, in words, and that it says so where it came out worse than it began."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.engine.jobs.events import Evaluation, Finished, Phase, Started, Step, to_json_line
from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.training.methods import METHODS
from rung.engine.training.methods.outcome import Outcome, outcome_of
from rung.tui.commands.event_lines import status_line
from rung.tui.shell.app import RungApp
from tests.engine.training.methods.test_methods_curves import CASES, SHORT
from tests.helpers.method_runs import chat_rows, make_recipe, sit, write_rows
from tests.helpers.on_screen import NARROW, WIDE, shown, until
from tests.helpers.recorded import write_run
from tests.helpers.tiny import make_tiny_model
from tests.helpers.trained_runs import lora_run, make_project

RUN = "20260102-030405-sft-ab12"
WORDS = "validation loss 1.2 before, 1.5 after (8 validation rows)"
WORSE = "ended worse than it began: validation loss rose by 0.3"
# What each method's end has to name; a tiny KTO run's validation rows may all be good ones.
NAMED = {
    "sft": ("validation loss ",),
    "cpt": ("held-out perplexity ",),
    "dpo": ("preference accuracy 0.5 (no preference yet) before, ", "; preference margin 0 before, "),
    "kto": ("preference margin ",),
    "orpo": ("preference accuracy ", "; preference margin "),
    "reward": ("pairwise accuracy ", "; margin of the scores "),
    "grpo": ("mean reward ", "; divergence from the reference "),
    "rloo": ("mean reward ", "; divergence from the reference "),
    "distill": ("the student's score ", "; gap to the teacher's ", "; validation loss "),
}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the current folder in it."""
    (tmp_path / "rung.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(method: str, **metrics: float | None) -> Outcome:
    return outcome_of(METHODS[method].end_figures, metrics)


def pair_figures(accuracy: tuple[float, float], margin: tuple[float, float]) -> dict[str, float]:
    return {
        "rewards/accuracies_before": accuracy[0], "rewards/accuracies": accuracy[1],
        "rewards/margins_before": margin[0], "rewards/margins": margin[1],
        "loss_before": 0.7, "loss": 0.6, "n": 8.0,
    }  # fmt: skip


def test_a_loss_that_rose_is_worse_and_rounding_is_not() -> None:
    assert outcome("sft", loss_before=1.2, loss=1.5, n=8.0) == Outcome(WORDS, WORSE)
    assert outcome("sft", loss_before=1.2, loss=1.20005, n=8.0).worse == ""
    assert outcome("sft", loss_before=1.5, loss=1.2, n=8.0).better
    assert not outcome("sft", loss_before=1.2, loss=1.20005, n=8.0).better


def test_a_preference_run_is_judged_by_accuracy_and_margin_and_not_by_its_loss() -> None:
    fell = outcome("orpo", **pair_figures((0.75, 0.5), (0.2, 0.1)))
    assert fell.worse == "ended worse than it began: preference accuracy fell by 0.25, preference margin fell by 0.1"
    assert outcome("dpo", **pair_figures((0.75, 0.875), (0.2, 0.4))).worse == ""


def test_ties_before_the_first_step_are_no_accuracy_of_zero() -> None:
    """A model that is its own reference prefers nothing yet; to be right in 3 of 8 pairs is then no gain."""
    found = outcome("dpo", **pair_figures((0.0, 0.375), (0.0, 0.1)))
    assert "preference accuracy 0.5 (no preference yet) before, 0.375 after" in found.words
    assert found.worse == "ended worse than it began: preference accuracy fell by 0.125"


def test_a_divergence_that_grows_is_not_worse() -> None:
    found = outcome("grpo", loss_before=0.0, loss=0.0, reward_before=0.25, reward=0.5, kl_before=0.0, kl=0.1, n=1.0)
    assert found.words == (
        "mean reward 0.25 before, 0.5 after; divergence from the reference 0 before, 0.1 after (1 validation row)"
    )
    assert found.worse == ""
    assert "mean reward fell by 0.1" in outcome("rloo", reward_before=0.5, reward=0.4).worse


def test_only_what_was_measured_is_said() -> None:
    assert outcome("sft", loss=1.5).words == "validation loss 1.5 after"
    assert outcome("cpt", loss_before=60.0, loss=55.0).words == "validation loss 60 before, 55 after"
    assert outcome("sft", loss_before=1.2, loss=None) == Outcome()


@pytest.mark.parametrize("method", CASES)
def test_the_end_of_each_method_s_run_names_its_own_figures(method: str, model_folder: Path, tmp_path: Path) -> None:
    rows, block = CASES[method]
    if method == "distill":
        block = {**block, "teacher": {"model": {"name": str(model_folder)}}}
    validation = {"data": {"validation": "data/train.jsonl"}} if method == "kto" else {}
    overrides = {"overrides": ["leaks"]} if method == "kto" else {}
    folder = new_run_folder(write_rows(tmp_path, rows()), method)
    sit(make_recipe(method, model_folder, training=SHORT, **{method: block}, **validation, **overrides), folder)
    said = RunReader(folder).catch_up().result["outcome"]
    at = -1
    for words in NAMED[method]:
        assert said.find(words) > at, said
        at = said.find(words)
    assert " before, " in said and " after" in said
    report = folder.report.read_text()
    assert said[1:] in report
    if method in ("grpo", "rloo"):
        assert "validation loss" not in report and "| validation reward | validation kl |" in report


def test_a_run_that_trains_away_from_its_validation_rows_says_so(model_folder: Path, tmp_path: Path) -> None:
    root = write_rows(tmp_path, chat_rows(8))
    # Letters that no training answer holds: sure of the others, the model finds these ever less likely.
    write_rows(root, [{"prompt": f"Say {n}", "completion": "ZZ 99 QQ 77 XX 55"} for n in range(8)], "other")
    folder = new_run_folder(root, "sft")
    training = {"learning_rate": 0.05, "max_steps": 20, "eval_steps": 20}
    changes = {"adapter": None, "data": {"validation": "data/other.jsonl"}, "training": training}
    sit(make_recipe("sft", model_folder, **changes), folder)
    result = RunReader(folder).catch_up().result
    assert result["metrics"]["loss"] > result["metrics"]["loss_before"], "it learned other answers only"
    assert result["worse"].startswith("ended worse than it began: validation loss rose by ")
    assert f"This run {result['worse']}." in folder.report.read_text()


def ended(root: Path, **changes: Any) -> RunFolder:
    finished = {"outcome": WORDS, "worse": WORSE, **changes}
    events = (
        Started("host", 1, ["cpu"], 1), Phase("train", 0, 4, "steps"), Step(4, 1.0, 1.1, 1e-4, 0.5),
        Finished(4, {"loss_before": 1.2, "loss": 1.5}, "adapter", "step 4: the last one", **finished),
    )  # fmt: skip
    return write_run(root, RUN, events)


def test_watch_and_runs_say_it(cli: Callable[..., Any], project: Path) -> None:
    ended(project)
    line = cli("watch", RUN).out.splitlines()[-1]
    assert line == f"finished         step 4  {WORDS}  adapter (step 4: the last one)  {WORSE}"
    assert f"{RUN} {WORSE}" in cli("runs").out.splitlines()
    (row,) = json.loads(cli("runs", "--json").out)
    assert (row["outcome"], row["worse"]) == (WORDS, WORSE)


def test_runs_says_nothing_more_of_a_run_that_gained(cli: Callable[..., Any], project: Path) -> None:
    ended(project, worse="")
    assert "worse" not in cli("runs").out


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
async def test_the_run_screen_says_it(size: tuple[int, int], tmp_path: Path) -> None:
    app = RungApp(tmp_path, replay=ended(tmp_path).events)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "finished" in shown(app) and WORSE in " ".join(shown(app).split()))
        assert WORDS in " ".join(shown(app).split())


def test_the_model_card_says_it(tmp_path: Path) -> None:
    from tests.engine.results.test_export import do, export_errand

    root = make_project(tmp_path)
    folder = lora_run(root, RUN)
    *before, last = folder.events.read_text().splitlines()
    event = json.loads(last) | {"outcome": WORDS, "worse": WORSE}
    folder.events.write_text("\n".join([*before, json.dumps(event)]) + "\n")
    said = do(export_errand(root, folder))
    card = (Path(said["path"]) / "README.md").read_text()
    assert f"| measured | {WORDS} |" in card
    assert f"- The run {WORSE}." in card
    assert f"The run {WORSE}." in said["notes"]


def test_the_live_line_of_a_run_that_learns_from_rewards_shows_the_reward() -> None:
    state = RunState()
    started, step = Started("host", 1, ["cpu"], 1), Step(3, 0.5, 0.0, metrics={"reward": 0.25})
    for number, event in enumerate((started, step, Evaluation(3, "validation", {"loss": 0.0, "reward": 0.5}))):
        apply(state, json.loads(to_json_line(event, number, 1.0)))
    assert "reward 0.2500 · validation 0.5000" in status_line(state) and "loss" not in status_line(state)
