"""The scoreboard: candidates, their scores with intervals, their differences, and the verdict, as one JSON file.

`scoreboard.json` is written by the worker that evaluates, so that a screen shows it without computing anything.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.board_file import BOARD_FILE, BOARD_VERSION, is_current
from rung.engine.ladder.break_even import break_even_fields
from rung.engine.ladder.entries import Entry, read_entries
from rung.engine.ladder.examples import EvaluationExample, group_count, load_split, sample
from rung.engine.ladder.held_out import held_out_facts
from rung.engine.ladder.judging import judge_figures, judge_words
from rung.engine.ladder.learned_from import learned_from_held_out, shown_held_out
from rung.engine.ladder.pairs import Measured, compare_candidates
from rung.engine.ladder.question import Question, Verdict
from rung.engine.ladder.scoring import kept_scores, score_key
from rung.engine.ladder.spec import RUNGS, Rung, rungs_of
from rung.engine.ladder.training_cost import training_cost
from rung.engine.ladder.verdict import decide
from rung.engine.metrics.health import alike
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import aggregate
from rung.engine.project.load import load_project
from rung.engine.project.schema import ProjectSettings
from rung.engine.stats.paired import Pair
from rung.engine.training.probe.forgot import forgot_words


@dataclass(frozen=True)
class _Standing:
    entry: Entry
    measured: Measured
    answers: list[Answer]
    others: dict[str, dict[str, float]]
    leaked: str | None = None


def build_board(
    root: Path,
    project: ProjectSettings,
    metrics: Sequence[MetricSpec],
    examples: Sequence[EvaluationExample],
    skipped: Mapping[Rung, str] | None = None,
    failed: Mapping[Rung, str] | None = None,
    out_of_budget: Collection[Rung] | None = None,
) -> dict[str, Any]:
    """The scoreboard over all candidates that are scored on every one of these held-out examples.

    `skipped` and `failed` say why a rung has no candidate, `out_of_budget` which of them the budget did not reach.
    """
    main = metrics[0]
    standings = [found for entry in read_entries(root) if (found := _standing(root, project, entry, metrics, examples))]
    standings.sort(key=lambda item: (RUNGS.index(item.entry.rung), item.entry.added))
    pairs = compare_candidates(main, [item.measured for item in standings])
    speakers = _speakers(standings)
    why_not = dict(skipped or {}) | _without_speaker(standings, speakers)
    said = alike(
        main,
        {item.entry.candidate: item.measured.scores for item in standings},
        {item.entry.candidate: [answer.answer for answer in item.answers] for item in standings},
    )
    question = Question(main, project.target, project.margin)
    verdict = decide(speakers, question, why_not, rungs_of(project), failed, out_of_budget or ())
    rows = [_row(root, project, main, item) for item in standings]
    notes = [f"what this model forgot: {words}" for words in _forgotten(rows, verdict.candidate)]
    shown = [_pair(pair) for pair in pairs]
    returns = [break_even_fields(row, rows, shown, project.margin, main.more_is_better) for row in rows]
    return {
        "version": BOARD_VERSION,
        "scoreboard": [row | found for row, found in zip(rows, returns, strict=True)],
        "pairs": shown,
        "verdict": replace(verdict, reasons=[*verdict.reasons, *notes, *([said] if said else [])]).to_json(),
        "skipped": dict(skipped or {}),
        "failed": dict(failed or {}),
        "out_of_budget": list(out_of_budget or ()),
        "metric": main.key,
        "more_is_better": main.more_is_better,
        "bounds": list(main.bounds) if main.bounds is not None else None,
        "judge": judge_words(root) if any(metric.name == "judge" for metric in metrics) else None,
        "target": project.target,
        "margin": project.margin,
        "held_out": {
            "n": len(examples),
            "groups": group_count(examples),
            **held_out_facts(root),
            # How many candidates were compared by these rows to find who speaks for a rung; corrected for.
            "corrected_for": {rung: n for rung in RUNGS if (n := sum(one.rung == rung for one in speakers)) > 1},
        },
    }


def _forgotten(rows: Sequence[Mapping[str, Any]], candidate: str | None) -> list[str]:
    """What the recommended candidate's training made its model forget, where that was measured."""
    row = next((row for row in rows if row["candidate"] == candidate), None)
    words = forgot_words(row) if row is not None and row["rung"] == "tune" else None
    return [words] if words is not None else []


def write_board(root: Path, board: Mapping[str, Any]) -> None:
    """Replace the project's scoreboard."""
    write_json_atomic(root / BOARD_FILE, dict(board))


def read_board(root: Path) -> dict[str, Any]:
    """The project's scoreboard; one that an earlier version wrote is judged by today's rules.

    Raises EngineError where nothing was evaluated yet.
    """
    path = root / BOARD_FILE
    if not path.exists():
        raise EngineError(
            f"{root} has no scoreboard yet", "nothing was scored on the held-out rows", "rung climb, or rung eval"
        )
    board: dict[str, Any] = read_json(path)
    return board if is_current(board) else _judged_anew(root, board)


def _judged_anew(root: Path, board: Mapping[str, Any]) -> dict[str, Any]:
    """A scoreboard of an earlier version with today's intervals and verdict, from the answers on disk; writes nothing.

    Where that can't be done the rows stay, and the verdict is open: the old one may have claimed too much.
    """
    try:
        project = load_project(root)
        metrics = parse_metrics(project.metrics, root, project.strip_reasoning)
        examples = sample(load_split(root, project, "test").examples, project.budget.test_rows)
        anew = build_board(root, project, metrics, examples)
    except EngineError:
        anew = {}
    candidates = {row["candidate"] for row in board.get("scoreboard") or []}
    if candidates <= {row["candidate"] for row in anew.get("scoreboard") or []}:
        return dict(board) | anew
    why = "this scoreboard was written by an earlier version, whose verdicts claimed more than was shown"
    open_one = Verdict("undecided", None, [why, "rung climb measures what is missing and judges anew"])
    headline = "Undecided: measured by an earlier version"
    return dict(board) | {"verdict": replace(open_one, headline=headline).to_json()}


def _standing(
    root: Path,
    project: ProjectSettings,
    entry: Entry,
    metrics: Sequence[MetricSpec],
    examples: Sequence[EvaluationExample],
) -> _Standing | None:
    answers = AnswerStore(root, entry.candidate).answers
    scores = [kept_scores(root, project, entry.candidate, entry.spec, metric, examples, answers) for metric in metrics]
    if not examples or scores[0] is None:
        return None
    estimate = aggregate(metrics[0], scores[0])
    measured = Measured(entry.candidate, entry.rung, entry.label, estimate, tuple(scores[0]))
    others = {}
    for metric, found in zip(metrics[1:], scores[1:], strict=True):
        if found is not None:
            other = aggregate(metric, found)
            others[metric.key] = {"score": other.score, "low": other.low, "high": other.high, "n": other.n}
    leaked = learned_from_held_out(root, entry.spec.run) if entry.spec.run is not None else None
    leaked = leaked or shown_held_out(root, project, entry.spec.few_shot)
    return _Standing(entry, measured, [answers[example.id] for example in examples], others, leaked)


def _speakers(standings: Sequence[_Standing]) -> list[Measured]:
    """Who speaks for each rung: the candidate chosen on the validation rows; where none was, all of the rung's.

    Never one that learned from held-out rows, nor another model behind an endpoint: that one is a row beside the rungs.
    """
    honest = [item for item in standings if item.leaked is None and item.entry.spec.endpoint is None]
    settled = {item.entry.rung for item in honest if item.entry.chosen}
    return [item.measured for item in honest if item.entry.chosen or item.entry.rung not in settled]


def _without_speaker(standings: Sequence[_Standing], speakers: Sequence[Measured]) -> dict[Rung, str]:
    """The rungs on which every candidate learned from held-out rows."""
    heard = {one.rung for one in speakers}
    silent = [item for item in standings if item.entry.rung not in heard and item.leaked is not None]
    return {item.entry.rung: f"{item.entry.label} {item.leaked}" for item in silent}


def _row(root: Path, project: ProjectSettings, metric: MetricSpec, item: _Standing) -> dict[str, Any]:
    entry, estimate, answers = item.entry, item.measured.estimate, item.answers
    latencies = [answer.latency_s for answer in answers if answer.latency_s is not None]
    training = training_cost(root, entry.spec.run) if entry.spec.run is not None else None
    row: dict[str, Any] = {
        "candidate": entry.candidate,
        "rung": entry.rung,
        "label": entry.label,
        "metric": metric.key,
        "score": estimate.score,
        "low": estimate.low,
        "high": estimate.high,
        "claim_low": estimate.claim_low,
        "claim_high": estimate.claim_high,
        "n": estimate.n,
        "groups": estimate.groups,
        "tokens_in": _mean([answer.tokens_in for answer in answers]),
        "tokens_out": _mean([answer.tokens_out for answer in answers]),
        "latency_s": median(latencies) if latencies else None,
        "cost": _cost(project, entry, answers),
        "truncated": sum(answer.truncated for answer in answers),
        "refused": sum(answer.refused for answer in answers),
        "prompts_cut": sum(bool(answer.cuts) for answer in answers),
        "forgetting": training.forgetting if training else None,
        "forgot": training.forgot if training else None,
        "chosen": entry.chosen,
        "leaked": item.leaked,
        "run": entry.spec.run,
        "seeds": 1 if training else None,
        "endpoint": entry.spec.endpoint,
        "seconds": fmean(answer.seconds for answer in answers),
        "training_seconds": training.seconds if training else None,
        "training_cost": _price_of(training.seconds, project) if training else None,
    }
    if metric.name == "judge":
        row["judge"] = judge_figures(root, entry.candidate, score_key(project, metric, entry.spec))
    return row | ({"metrics": item.others} if item.others else {})


def _mean(counts: Sequence[int | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return round(fmean(known), 1) if known else None


def _cost(project: ProjectSettings, entry: Entry, answers: Sequence[Answer]) -> float | None:
    """Mean price of an answer, in the currency of rung.yaml's prices; None where no price is given."""
    endpoint = next((one for one in project.endpoints if one.name == entry.spec.endpoint), None)
    if endpoint is not None:
        if endpoint.price_in is None or endpoint.price_out is None:
            return None
        counts = [(answer.tokens_in, answer.tokens_out) for answer in answers]
        known = [(read, written) for read, written in counts if read is not None and written is not None]
        prices = [(read * endpoint.price_in + written * endpoint.price_out) / 1e6 for read, written in known]
        return fmean(prices) if prices else None
    if project.budget.machine_hour is None:
        return None
    return fmean(answer.seconds for answer in answers) * project.budget.machine_hour / 3600


def _price_of(seconds: float | None, project: ProjectSettings) -> float | None:
    """Price of so much time on this machine; None where either is unknown."""
    hourly = project.budget.machine_hour
    return None if seconds is None or hourly is None else seconds * hourly / 3600


def _pair(pair: Pair) -> dict[str, Any]:
    found = pair.difference
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "claim_low": found.claim_low,
        "claim_high": found.claim_high,
        "p": pair.p_adjusted,
        "p_single": found.p,
        "n": found.n,
        "groups": found.groups,
        "a_better": found.a_better,
        "b_better": found.b_better,
    }
