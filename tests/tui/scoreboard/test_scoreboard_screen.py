"""The scoreboard: candidates with intervals as bars, pairs, verdict; and the examples behind a difference."""

from pathlib import Path

import pytest
from textual.widgets import OptionList

from rung.engine.core.errors import EngineError
from rung.engine.guide.demo import make_demo
from rung.engine.guide.wizard import change_project
from rung.engine.ladder.answers import Answer, AnswerStore, ScoreStore
from rung.engine.ladder.board import build_board, read_board, write_board
from rung.engine.ladder.contrast import GROUPS, contrast
from rung.engine.ladder.entries import write_entry
from rung.engine.ladder.examples import EvaluationExample, load_split
from rung.engine.ladder.scoring import score_answers
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.metrics.parse import parse_metrics
from rung.engine.project.load import load_project
from rung.tui.scoreboard.examples import ExamplesScreen
from rung.tui.shell.app import RungApp
from rung.tui.text.glyphs import ASCII, UNICODE
from rung.tui.text.interval_bar import interval_bar, scale_of
from tests.helpers.on_screen import NARROW, WIDE, shown, until

LOW, HIGH = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
CHUNK = {"id": "c1", "source": "guide.md", "text": "The [b]passage[/b] that was shown"}


def answer_all(root: Path, candidate: str, spec: CandidateSpec, right: range, label: str) -> None:
    """Answers of a candidate that is right on the examples in `right`, scored as the worker scores them."""
    project = load_project(root)
    examples = load_split(root, project, "test").examples
    metric = parse_metrics(project.metrics, root)[0]
    store = AnswerStore(root, candidate)
    store.add([_answer(example, number in right, spec) for number, example in enumerate(examples)])
    score_answers(root, project, candidate, spec, metric, examples, store.answers, lambda *_: [])
    write_entry(root, candidate, spec, label, chosen=True)


def _answer(example: EvaluationExample, right: bool, spec: CandidateSpec) -> Answer:
    text = example.reference if right else "\x1b[31mno [red]idea"
    chunks = [CHUNK] if spec.retrieval is not None else []
    return Answer(example.id, "0" * 16, text, 40, 7, 0.5, "length" if not right else "end", chunks, latency_s=0.25)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A project with a prompt candidate that is right on 0 to 19 and a RAG candidate that is right on 10 to 69."""
    root = make_demo("format", tmp_path / "demo")
    project = change_project(root, {"target": 0.5})
    plain = base_spec(project)
    answer_all(root, LOW, plain, range(20), "4-shot nearest")
    answer_all(root, HIGH, plain.model_copy(update={"retrieval": project.documents}), range(10, 70), "k=3 · 400")
    examples = load_split(root, project, "test").examples
    write_board(root, build_board(root, project, parse_metrics(project.metrics, root), examples))
    return root


def test_examples_are_told_apart_by_who_is_right(measured: Path) -> None:
    groups = contrast(measured, read_board(measured), LOW, HIGH)
    n = len(load_split(measured, load_project(measured), "test").examples)
    assert [len(groups[group]) for group in GROUPS] == [10, 50, n - 70, 10]
    first = groups["a_only"][0]
    assert first.a.answer.answer == first.example.reference and first.a.score == 1.0
    assert first.b.answer.chunks == [CHUNK] and not first.b.right
    turned = contrast(measured, read_board(measured), HIGH, LOW)
    assert len(turned["a_only"]) == 50


def test_an_example_without_a_score_counts_as_wrong(measured: Path) -> None:
    example = load_split(measured, load_project(measured), "test").examples[0]
    ScoreStore(measured, LOW).add([{"example": example.id, "metric": "exact_match", "score": None}])
    groups = contrast(measured, read_board(measured), LOW, HIGH)
    assert example.id in [item.example.id for item in groups["both_wrong"]]


def test_the_bar_says_low_score_high_and_target_by_its_places() -> None:
    bar = interval_bar(0.5, 0.2, 0.8, 11, UNICODE, target=1.0)
    assert bar == "  ├──●──┤ ┊"
    assert interval_bar(0.5, 0.2, 0.8, 11, ASCII, target=1.0) == "  |--o--| |"
    assert interval_bar(1.0, 1.0, 1.0, 5, UNICODE) == "    ●"
    assert interval_bar(0.5, 0.4, 0.6, 0, UNICODE) == ""
    assert scale_of([0.1, 0.9]) == (0.0, 1.0)
    assert scale_of([3.0, 9.0]) == (3.0, 9.0)
    assert interval_bar(3.0, 3.0, 9.0, 7, UNICODE, scale_of([3.0, 9.0])) == "●─────┤"


def test_a_metric_that_is_no_longer_the_scoreboards_is_told(measured: Path) -> None:
    change_project(measured, {"metrics": ["token_f1"]})
    with pytest.raises(EngineError) as raised:
        contrast(measured, read_board(measured), LOW, HIGH)
    assert "exact_match" in raised.value.message and "token_f1" in raised.value.details


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_candidates_verdict_and_pairs_are_shown(measured: Path, size: tuple[int, int]) -> None:
    app = RungApp(measured, start="scoreboard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Verdict:" in shown(app))
        text = shown(app)
        assert "prompt: 4-shot nearest" in text and "RAG: k=3 · 400" in text
        assert "●" in text and "┊" in text, "the bars and the target"
        assert "40+7 tok" in text and "0.25 s" in text and "at the limit" in text
        board = read_board(measured)
        row = board["scoreboard"][1]
        assert f"n={row['n']}" in text
        assert "p < .001" in text and "Undecided: fine-tuning was not measured." in " ".join(text.split())
        assert f"looked at {board['held_out']['looks']} times" in text


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_drill_down_shows_both_answers_reference_and_chunks(measured: Path, size: tuple[int, int]) -> None:
    app = RungApp(measured, start="scoreboard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Verdict:" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExamplesScreen) and "A answered" in shown(app))
        assert "1 only A right 10" in shown(app) and "2 only B right 50" in shown(app)
        detail = app.screen.query_one("#answers").visual.plain  # type: ignore[attr-defined]
        example = load_split(measured, load_project(measured), "test").examples[0]
        assert example.question in detail and example.reference in detail
        assert "no [red]idea" in detail and "\x1b" not in detail, "what a model wrote is text, never markup or control"
        assert "hit the token limit" in detail and "guide.md: The [b]passage[/b]" in detail
        await pilot.press("2", "down")
        assert app.screen.query_one("#examples", OptionList).option_count == 50
        assert "right" in app.screen.query_one("#answers").visual.plain  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: "Verdict:" in shown(app))


async def test_a_pair_opens_its_own_examples(measured: Path) -> None:
    app = RungApp(measured, start="scoreboard")
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "Verdict:" in shown(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, ExamplesScreen) and "A answered" in shown(app))


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_without_measurements_it_says_what_to_do(tmp_path: Path, size: tuple[int, int]) -> None:
    root = make_demo("format", tmp_path / "demo")
    app = RungApp(root, start="scoreboard")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Nothing is measured" in shown(app))
        assert "wizard (w)" in shown(app) and "rung climb" in shown(app)
        assert "e examples" not in shown(app)
