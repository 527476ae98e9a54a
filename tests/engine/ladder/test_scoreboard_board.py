"""The scoreboard's file: rows, pairs and verdict, from answers and scores on disk."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.board import build_board, read_board, write_board
from rung.engine.ladder.break_even import no_worse
from rung.engine.ladder.climb_record import ClimbRecord
from rung.engine.ladder.entries import write_entry
from rung.engine.ladder.examples import EvaluationExample, load_split
from rung.engine.ladder.report import climb_report
from rung.engine.ladder.scoring import score_answers
from rung.engine.ladder.spec import CandidateSpec, base_spec
from rung.engine.metrics.parse import parse_metrics
from rung.engine.project.load import save_project
from rung.engine.project.schema import ProjectSettings
from rung.tui.scoreboard.lines import candidate_lines, head_line
from rung.tui.text.glyphs import ASCII, UNICODE
from tests.helpers.ladder_project import make_project

ANSWER_SECONDS = 0.5


@pytest.fixture
def project(tmp_path: Path) -> ProjectSettings:
    return make_project(
        tmp_path, Path("pocket"), counts=(10, 5, 40), metrics=["contains", "token_f1"],
        budget={"machine_hour": 7.2},
        endpoints=[{"name": "big", "url": "http://localhost:1/v1", "model": "m", "price_in": 10.0, "price_out": 100.0}],
    )  # fmt: skip


def put(
    root: Path, project: ProjectSettings, name: str, spec: CandidateSpec, num_right: int, *, chosen: bool = True,
    examples: Sequence[EvaluationExample] | None = None, tokens_out: int | None = 4, seconds: float = ANSWER_SECONDS,
) -> None:  # fmt: skip
    """A candidate that answers the first so many held-out examples right."""
    chosen_examples = examples or load_split(root, project, "test").examples
    answers = [
        Answer(one.id, "p", one.reference if number < num_right else "violet", 100, tokens_out, seconds,
               "end" if number % 4 else "length", latency_s=0.25 if number < 3 else None)
        for number, one in enumerate(chosen_examples)
    ]  # fmt: skip
    AnswerStore(root, name).add(answers)
    kept = AnswerStore(root, name).answers
    for metric in parse_metrics(project.metrics, root):
        score_answers(root, project, name, spec, metric, chosen_examples, kept, _no_model)
    write_entry(root, name, spec, spec.label, chosen=chosen)


def _no_model(*_: Any) -> list[dict[str, Any]]:
    raise AssertionError("these metrics need no model")


def board_of(root: Path, project: ProjectSettings, **options: Any) -> dict[str, Any]:
    examples = load_split(root, project, "test").examples
    return build_board(root, project, parse_metrics(project.metrics, root), examples, **options)


def test_rows_hold_what_the_contract_names(tmp_path: Path, project: ProjectSettings) -> None:
    base = base_spec(project)
    put(tmp_path, project, "aaa", base, 10)
    put(tmp_path, project, "bbb", base.model_copy(update={"retrieval": project.documents}), 36)
    write_board(tmp_path, board_of(tmp_path, project))
    board = read_board(tmp_path)
    names = {
        "candidate", "rung", "label", "metric", "score", "low", "high", "n", "tokens_in", "tokens_out", "latency_s",
        "cost", "truncated", "forgetting", "forgot",
    }  # fmt: skip
    assert all(names <= set(row) for row in board["scoreboard"])
    prompt, rag = board["scoreboard"]
    assert (prompt["rung"], prompt["score"], prompt["n"], prompt["truncated"]) == ("prompt", 0.25, 40, 10)
    assert (rag["rung"], rag["score"], rag["latency_s"], rag["tokens_in"]) == ("rag", 0.9, 0.25, 100.0)
    assert prompt["cost"] == pytest.approx(ANSWER_SECONDS * 7.2 / 3600)
    assert prompt["metrics"]["token_f1"]["n"] == 40
    assert set(board["pairs"][0]) >= {"a", "b", "difference", "low", "high", "p"}
    assert board["pairs"][0]["difference"] == pytest.approx(-0.65) and board["pairs"][0]["b_better"] == 26
    assert board["verdict"]["rung"] == "rag" and board["verdict"]["candidate"] == "bbb"


def test_an_endpoint_is_priced_by_its_tokens(tmp_path: Path, project: ProjectSettings) -> None:
    spec = base_spec(project).model_copy(update={"endpoint": "big"})
    put(tmp_path, project, "aaa", spec, 10, tokens_out=4)
    assert board_of(tmp_path, project)["scoreboard"][0]["cost"] == pytest.approx((100 * 10 + 4 * 100) / 1e6)
    put(tmp_path, project, "bbb", spec, 10, tokens_out=None)
    uncounted = board_of(tmp_path, project)["scoreboard"][1]
    assert uncounted["cost"] is None and uncounted["tokens_out"] is None


def test_a_candidate_that_is_not_scored_on_all_examples_is_left_out(tmp_path: Path, project: ProjectSettings) -> None:
    examples = load_split(tmp_path, project, "test").examples
    put(tmp_path, project, "aaa", base_spec(project), 10)
    put(tmp_path, project, "bbb", base_spec(project), 10, examples=examples[:-1], chosen=False)
    assert [row["candidate"] for row in board_of(tmp_path, project)["scoreboard"]] == ["aaa"]


def test_new_held_out_rows_start_a_new_scoreboard(tmp_path: Path, project: ProjectSettings) -> None:
    put(tmp_path, project, "aaa", base_spec(project), 10)
    file = tmp_path / "data" / "test.jsonl"
    file.write_text(file.read_text().replace("Which colour", "What colour"))
    board = board_of(tmp_path, project)
    assert board["scoreboard"] == [] and board["verdict"]["rung"] == "undecided"


def test_the_chosen_candidate_speaks_for_its_rung(tmp_path: Path, project: ProjectSettings) -> None:
    base = base_spec(project)
    put(tmp_path, project, "lucky", base.model_copy(update={"system_prompt": "x"}), 40, chosen=False)
    put(tmp_path, project, "chosen", base, 10)
    put(tmp_path, project, "rag", base.model_copy(update={"retrieval": project.documents}), 38)
    board = board_of(tmp_path, project)
    # The lucky one was not chosen on the validation rows: it is shown, and decides nothing.
    assert len(board["scoreboard"]) == 3 and board["verdict"]["candidate"] == "rag"


def test_skipped_rungs_are_among_the_reasons(tmp_path: Path, project: ProjectSettings) -> None:
    put(tmp_path, project, "aaa", base_spec(project), 30)
    board = board_of(tmp_path, project, skipped={"tune": "the project has no training rows"})
    assert "fine-tuning was not measured: the project has no training rows" in board["verdict"]["reasons"]


def test_the_report_draws_the_scoreboard(tmp_path: Path, project: ProjectSettings) -> None:
    base = base_spec(project)
    put(tmp_path, project, "aaa", base, 10)
    put(tmp_path, project, "bbb", base.model_copy(update={"retrieval": project.documents}), 36)
    targeted = project.model_copy(update={"target": 0.7})
    record = ClimbRecord(tmp_path / "r.json", "k", seconds=90.0, tokens=1234, skipped={"tune": "no training rows"})
    text = climb_report(targeted, board_of(tmp_path, targeted), record, [])
    assert text.startswith("# things: Stop at RAG: don't fine-tune (k=4 · 800)")
    bars = [line for line in text.splitlines() if "●" in line]
    assert len(bars) == 2 and all("┊" in line or "●" in line for line in bars)
    assert bars[0].index("●") < bars[1].index("●")
    assert "- tune: no training rows" in text and "1.5 minutes, 1,234 tokens" in text
    assert "split from" not in text
    split = targeted.data.model_copy(update={"sources": ["../mine.jsonl", "more.csv"]})
    targeted = targeted.model_copy(update={"data": split})
    text = climb_report(targeted, board_of(tmp_path, targeted), record, [])
    assert "(split from ../mine.jsonl, more.csv); intervals are 95 %." in text


JUDGED = {
    "wins": 3, "losses": 30, "ties": 7, "unreadable": 0, "order_agreement": 0.85, "first_place": 0.6,
    "words": "against the references 3 wins, 30 losses, 7 ties; both orders agree in 85% [71%, 93%]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("unchecked: 4 labels of your own, 30 are needed", "The judge is unchecked: 4 labels of your own"),
        ("agrees with 90% of your 40 labels [77%, 96%]", "The judge agrees with 90% of your 40 labels"),
    ],
)
def test_a_judge_is_never_shown_without_how_far_it_is_to_be_trusted(
    tmp_path: Path, project: ProjectSettings, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: str,
    said: str,
) -> None:  # fmt: skip
    put(tmp_path, project, "aaa", base_spec(project), 10)
    board = board_of(tmp_path, project)
    board["judge"], board["scoreboard"][0]["judge"] = words, JUDGED
    write_board(tmp_path, board)
    monkeypatch.chdir(tmp_path)
    report = climb_report(project, board, ClimbRecord(tmp_path / "r.json", "k"), [])
    for shown in (report, cli("scoreboard").out):
        assert said in shown and "both orders agree in 85%" in shown
    assert words in head_line(board, narrow=True).plain and words in head_line(board, narrow=False).plain
    assert "orders agree 85%" in candidate_lines(board, board["scoreboard"][0], UNICODE, 80).plain


def test_what_was_forgotten_is_said_of_what_from_what_to_what(
    tmp_path: Path, project: ProjectSettings, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare `forgets +43.8 %` says neither of what, nor how sure it is; an older board knows no more than that."""
    put(tmp_path, project, "aaa", base_spec(project), 10)
    board = board_of(tmp_path, project)
    row = board["scoreboard"][0]
    row["forgetting"] = 0.438
    assert "forgot: general text +43.8 %" in candidate_lines(board, row, UNICODE, 80).plain
    row["forgot"] = {
        "of": "perplexity of general text", "from": 12.1, "to": 17.4, "growth": 0.438, "low": 0.39, "high": 0.49,
    }  # fmt: skip
    words = "perplexity of general text 12.1 → 17.4 (+43.8 % [+39, +49])"
    narrow = candidate_lines(board, row, UNICODE, 80).plain
    assert narrow.splitlines()[-1] == "    forgot: general text +43.8 % [+39, +49]"
    assert f"forgot: {words}" in candidate_lines(board, row, UNICODE, 120).plain
    assert "12.1 -> 17.4" in candidate_lines(board, row, ASCII, 120).plain
    assert words in climb_report(project, board, ClimbRecord(tmp_path / "r.json", "k"), [])
    write_board(tmp_path, board)
    monkeypatch.chdir(tmp_path)
    assert f"forgot: {row['label']}: {words}" in cli("scoreboard").out


def test_the_command_prints_it(
    tmp_path: Path, project: ProjectSettings, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = cli("scoreboard")
    assert missing.code == 2 and "has no scoreboard yet" in missing.err
    put(tmp_path, project, "aaa", base_spec(project), 10)
    write_board(tmp_path, board_of(tmp_path, project))
    shown = cli("scoreboard")
    assert shown.code == 0 and "0.250" in shown.out and "verdict: undecided\n" in shown.out
    assert "Undecided: retrieval and fine-tuning were not measured." in shown.out
    assert json.loads(cli("scoreboard", "--json").out)["scoreboard"][0]["candidate"] == "aaa"


@pytest.mark.parametrize("version", [None, 2])
def test_a_scoreboard_of_an_earlier_version_opens_with_todays_verdict(
    tmp_path: Path, project: ProjectSettings, version: int | None
) -> None:
    targeted = project.model_copy(update={"target": 0.95})
    save_project(tmp_path, targeted)
    base = base_spec(targeted)
    put(tmp_path, targeted, "aaa", base, 40)
    put(tmp_path, targeted, "bbb", base.model_copy(update={"retrieval": targeted.documents}), 40)
    board = board_of(tmp_path, targeted)
    board["version"] = version
    for item in (*board["scoreboard"], *board["pairs"]):
        del item["claim_low"], item["claim_high"]  # these came with version 3
    board["verdict"] = {"rung": "none", "candidate": None, "reasons": ["no rung is shown to reach the target 0.95"]}
    write_board(tmp_path, board)
    # All of 40 right is no proof of .95, and no proof against it.
    opened = read_board(tmp_path)
    assert opened["verdict"]["rung"] == "undecided" and opened["verdict"]["headline"].startswith("Undecided")
    assert json.loads((tmp_path / "scoreboard.json").read_text())["verdict"]["rung"] == "none", "reading writes nothing"
    for file in (tmp_path / "answers").glob("*.jsonl"):
        file.unlink()
    gone = read_board(tmp_path)
    assert [row["candidate"] for row in gone["scoreboard"]] == ["aaa", "bbb"]
    assert no_worse(*gone["scoreboard"], gone["pairs"], 0.2) and not no_worse(*gone["scoreboard"], gone["pairs"], 0.01)
    assert gone["verdict"]["rung"] == "undecided" and "an earlier version" in gone["verdict"]["reasons"][0]


def test_what_learned_from_held_out_rows_is_marked_and_decides_nothing(
    tmp_path: Path, project: ProjectSettings, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_spec(project)
    put(tmp_path, project, "aaa", base, 10)
    put(tmp_path, project, "bbb", base.model_copy(update={"retrieval": project.documents}), 12)
    put(tmp_path, project, "tuned", base.model_copy(update={"run": "r-1", "adapter": "runs/r-1/adapter"}), 40)
    honest = board_of(tmp_path, project)
    assert honest["verdict"]["rung"] == "tune"
    said = "learned from 40 held-out rows (data/all.jsonl)"
    monkeypatch.setattr(
        "rung.engine.ladder.board.learned_from_held_out", lambda root, run: said if run == "r-1" else None
    )
    board = board_of(tmp_path, project)
    assert [row["leaked"] for row in board["scoreboard"]] == [None, None, said]
    assert board["verdict"]["rung"] != "tune" and board["verdict"]["not_measured"] == ["tune"]
    assert any(said in reason for reason in board["verdict"]["reasons"])
    write_board(tmp_path, board)
    monkeypatch.chdir(tmp_path)
    report = climb_report(project, board, ClimbRecord(tmp_path / "r.json", "k"), [])
    narrow = candidate_lines(board, board["scoreboard"][2], UNICODE, 80).plain
    for shown in (report, cli("scoreboard").out, narrow):
        assert f"not counted: {said}" in shown or f"not counted: tuned {said}" in shown


def test_the_best_of_many_is_told_on_the_scoreboard(tmp_path: Path, project: ProjectSettings) -> None:
    base = base_spec(project)
    for number in range(6):
        spec = base.model_copy(update={"system_prompt": f"Way {number}"})
        put(tmp_path, project, f"c{number}", spec, 30 + number, chosen=False)
    board = board_of(tmp_path, project)
    assert board["held_out"]["corrected_for"] == {"prompt": 6}
    assert "the best of 6 on prompting" in head_line(board, narrow=False).plain
    assert any("corrected for 6 looks" in reason for reason in board["verdict"]["reasons"])


def test_another_model_behind_an_endpoint_speaks_for_no_rung(tmp_path: Path, project: ProjectSettings) -> None:
    put(tmp_path, project, "big", base_spec(project).model_copy(update={"endpoint": "big"}), 40, chosen=False)
    board = board_of(tmp_path, project)
    assert len(board["scoreboard"]) == 1
    assert (board["verdict"]["rung"], board["verdict"]["candidate"]) == ("undecided", None)
